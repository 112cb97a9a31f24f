//! docs/pipeline.md is what the code says.

#[test]
fn the_page_is_true() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/pipeline.md");
    let page = sluice_flows::map::pipeline_map();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, &page).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        written == page,
        "docs/pipeline.md is out of date: UPDATE_GOLDEN=1 cargo test -p sluice-flows rewrites it"
    );
}
