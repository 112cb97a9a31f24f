//! The binary as shipped needs no dynamic linker and no library.

use std::path::Path;
use std::process::{Command, Stdio};

const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;

#[test]
fn the_shipped_binary_is_static() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("build-static");
    let output = Command::new(&script)
        .stderr(Stdio::inherit())
        .output()
        .expect("build-static runs");
    assert!(output.status.success(), "build-static failed");
    let path = String::from_utf8(output.stdout).expect("a path");
    let elf = std::fs::read(path.trim()).expect("the binary");
    let types = program_header_types(&elf).expect("an ELF64 file of this machine's byte order");
    assert!(!types.is_empty());
    assert!(!types.contains(&PT_INTERP), "it asks for a dynamic linker");
    assert!(!types.contains(&PT_DYNAMIC), "it has a dynamic section");

    let output = Command::new(path.trim())
        .env_clear()
        .env("CNI_COMMAND", "VERSION")
        .stdin(Stdio::null())
        .output()
        .expect("it runs");
    assert!(output.status.success() && output.stdout.starts_with(b"{\"cniVersion\":\"1.1.0\""));
}

/// `p_type` of every program header (System V ABI, "ELF-64 Object File Format").
fn program_header_types(elf: &[u8]) -> Option<Vec<u32>> {
    let u16_at = |at: usize| Some(u16::from_ne_bytes(elf.get(at..at + 2)?.try_into().ok()?));
    let u32_at = |at: usize| Some(u32::from_ne_bytes(elf.get(at..at + 4)?.try_into().ok()?));
    let u64_at = |at: usize| Some(u64::from_ne_bytes(elf.get(at..at + 8)?.try_into().ok()?));
    if elf.get(..5)? != b"\x7fELF\x02" {
        return None;
    }
    let table = usize::try_from(u64_at(32)?).ok()?;
    let (size, count) = (usize::from(u16_at(54)?), usize::from(u16_at(56)?));
    (0..count).map(|i| u32_at(table + i * size)).collect()
}
