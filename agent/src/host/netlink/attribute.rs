//! Netlink attributes of answers, by their numbers: for what is read without a type for all of it.

use std::io;

use rtnetlink::packet_core::{NlaBuffer, NlasIterator};

use super::socket::malformed;

/// The value of the first attribute of a kind.
pub(crate) fn value(attributes: &[u8], kind: u16) -> io::Result<Option<Vec<u8>>> {
    let mut found = None;
    each(attributes, |attribute| {
        if found.is_none() && attribute.kind() == kind {
            found = Some(attribute.value().to_vec());
        }
        Ok(())
    })?;
    Ok(found)
}

/// The value of an attribute within attributes.
pub(crate) fn nested(attributes: &[u8], path: &[u16]) -> io::Result<Option<Vec<u8>>> {
    let mut inner = attributes.to_vec();
    for kind in path {
        match value(&inner, *kind)? {
            Some(found) => inner = found,
            None => return Ok(None),
        }
    }
    Ok(Some(inner))
}

/// Hands on each attribute.
pub(crate) fn each(
    attributes: &[u8],
    mut on: impl FnMut(NlaBuffer<&[u8]>) -> io::Result<()>,
) -> io::Result<()> {
    for attribute in NlasIterator::new(attributes) {
        on(attribute.map_err(|error| malformed(&error.to_string()))?)?;
    }
    Ok(())
}
