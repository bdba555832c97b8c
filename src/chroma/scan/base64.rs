//! Embeddings as base64 of little-endian f32, checked without keeping the floats.

/// What is known of one such text.
pub(super) struct Vector {
    /// Floats in it; `None` where it is no whole number of them.
    pub(super) dimension: Option<u32>,
    /// True if it is canonical base64 and every float is finite.
    pub(super) sound: bool,
}

const INVALID: u8 = 0xff;

/// Set in [`INVALID`] and in no digit's value.
const INVALID_BIT: u8 = 0x80;

/// Value of each base64 digit.
const DIGITS: [u8; 256] = {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut digits = [INVALID; 256];
    let mut value = 0_u8;
    while value < 64 {
        digits[alphabet[value as usize] as usize] = value;
        value += 1;
    }
    digits
};

pub(super) fn scan(text: &[u8]) -> Vector {
    let padding = text.iter().rev().take(2).take_while(|&&byte| byte == b'=').count();
    let decoded_bytes = text.len() / 4 * 3;
    if !text.len().is_multiple_of(4)
        || decoded_bytes < padding
        || !(decoded_bytes - padding).is_multiple_of(4)
    {
        return Vector { dimension: None, sound: false };
    }
    let float_count = (decoded_bytes - padding) / 4;
    let dimension = u32::try_from(float_count).ok().filter(|&count| count > 0);
    let sound = dimension.is_some() && all_finite(&text[..text.len() - padding]);
    Vector { dimension, sound }
}

/// Digits of three floats: the shortest text that is whole digits and whole floats.
const GROUP_DIGITS: usize = 16;

/// All ones in the exponent, which is an infinity or a NaN, in a float's four bytes read as big-endian.
const NOT_FINITE: u64 = 0x0000_807f;

/// Decodes digits into floats; false for a foreign byte, an infinity, a NaN, or bits left over.
fn all_finite(digits: &[u8]) -> bool {
    let (groups, rest) = digits.as_chunks::<GROUP_DIGITS>();
    let (mut seen, mut finite) = (0, true);
    for group in groups {
        finite &= group_is_finite(group, &mut seen);
    }
    // The last floats are filled up with zero digits; those that stand for no bits must be zero anyway.
    let mut last = [b'A'; GROUP_DIGITS];
    last[..rest.len()].copy_from_slice(rest);
    finite &= group_is_finite(&last, &mut seen);
    finite && seen & INVALID_BIT == 0 && bits_left_over(rest) == 0
}

fn group_is_finite(group: &[u8; GROUP_DIGITS], seen: &mut u8) -> bool {
    let (head, tail) = group.split_at(GROUP_DIGITS / 2);
    let (head, tail) = (bits(head, seen), bits(tail, seen));
    let floats = [head >> 16, (head & 0xffff) << 16 | tail >> 32, tail & 0xffff_ffff];
    !floats.into_iter().map(|float| float & NOT_FINITE).any(|exponent| exponent == NOT_FINITE)
}

/// The bits of up to eight digits, the first ones most significant; `seen` collects their values.
fn bits(digits: &[u8], seen: &mut u8) -> u64 {
    digits.iter().fold(0, |bits, &digit| {
        let value = DIGITS[usize::from(digit)];
        *seen |= value;
        bits << 6 | u64::from(value & 63)
    })
}

/// The bits of the last digit that belong to no byte.
fn bits_left_over(rest: &[u8]) -> u64 {
    let count = rest.len() * 6 % 8;
    rest.last().map_or(0, |last| bits(&[*last], &mut 0) & ((1 << count) - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_gives_the_dimension() {
        for (text, dimension) in [
            ("AACAPw==", Some(1)),
            ("AACAPwAAAEA=", Some(2)),
            ("AACAPwAAAEAAAEBA", Some(3)),
            ("", None),
            ("AAAA", None),
        ] {
            let vector = scan(text.as_bytes());
            assert_eq!((vector.dimension, vector.sound), (dimension, dimension.is_some()), "{text}");
        }
    }

    #[test]
    fn what_chroma_refuses_is_not_sound() {
        for text in [
            "AADAfwAAgD8=", // NaN
            "AACAfwAAgD8=", // infinity
            "AACA/wAAgD8=", // minus infinity
            "AACAPwAAAEA!",
            "AACAPwAAAEA",  // no padding
            "AACAPwAAAEF=", // bits left over
            "AAC=PwAAAEA=",
            "====",
        ] {
            assert!(!scan(text.as_bytes()).sound, "{text}");
        }
    }
}
