//! Records as bytes: one version byte, then the bincode format through `wincode`.

use wincode::config::{self, Configuration};
use wincode::{SchemaRead, SchemaWrite};

use super::error::LogError;

/// The version byte of everything encoded here. A change of a record's shape other than a variant
/// added at the end of an enum needs the next number and a decoder for this one.
pub const CODEC_VERSION: u8 = 1;

/// `wincode` refuses sequences over 4 MiB unless told otherwise, and the ids of one delete can be
/// more. Nothing larger than SQLite's own limit on a value can be stored, and checksums are
/// compared before anything is decoded.
pub type Format = Configuration<true, { 1 << 30 }>;

const FORMAT: Format = Configuration::default().with_preallocation_size_limit::<{ 1 << 30 }>();

/// Encodes a value behind the version byte.
///
/// # Errors
/// [`LogError::Storage`] when the value is beyond what the format holds.
pub fn encode<T>(value: &T) -> Result<Vec<u8>, LogError>
where
    T: SchemaWrite<Format, Src = T>,
{
    let mut bytes = vec![CODEC_VERSION];
    config::serialize_into(&mut bytes, value, FORMAT)
        .map_err(|error| LogError::Storage(format!("cannot encode a record: {error}")))?;
    Ok(bytes)
}

/// Decodes what [`encode`] wrote.
///
/// # Errors
/// [`LogError::Damaged`] for an unknown version, for bytes that are no such value, and for bytes left over.
pub fn decode<'de, T>(bytes: &'de [u8]) -> Result<T, LogError>
where
    T: SchemaRead<'de, Format, Dst = T>,
{
    match bytes.split_first() {
        Some((&CODEC_VERSION, rest)) => config::deserialize_exact(rest, FORMAT)
            .map_err(|error| LogError::Damaged(format!("a record cannot be decoded: {error}"))),
        Some((version, _)) => Err(LogError::Damaged(format!("a record has the unknown version {version}"))),
        None => Err(LogError::Damaged("a record is empty".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wal::record::{Lsn, Record};

    #[test]
    fn more_ids_than_the_codec_allocates_by_default_come_back_unchanged() {
        let record =
            Record::Resolved { lsn: Lsn(7), ids: (0..400_000).map(|n| format!("id-{n:030}")).collect() };
        let bytes = encode(&record).unwrap();
        assert!(bytes.len() > 8 << 20);
        assert_eq!(decode::<Record>(&bytes).unwrap(), record);
    }

    #[test]
    fn an_unknown_version_and_trailing_bytes_are_refused() {
        let mut bytes = encode(&Lsn(5)).unwrap();
        bytes.push(0);
        assert!(matches!(decode::<Lsn>(&bytes), Err(LogError::Damaged(_))));
        bytes.pop();
        bytes[0] = CODEC_VERSION + 1;
        let error = decode::<Lsn>(&bytes).unwrap_err().to_string();
        assert!(error.contains("unknown version 2"), "{error}");
        assert!(matches!(decode::<Lsn>(&[]), Err(LogError::Damaged(_))));
    }
}
