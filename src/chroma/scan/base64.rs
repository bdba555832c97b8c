//! Embeddings as base64 of little-endian f32, checked without keeping the floats.

/// What is known of one such text.
pub(super) struct Vector {
    /// Floats in it; `None` where it is no whole number of them.
    pub(super) dimension: Option<u32>,
    /// True if it is canonical base64 and every float is finite.
    pub(super) sound: bool,
}

const INVALID: u8 = 0xff;

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

/// Decodes digits bit by bit into floats; false for a foreign byte, an infinity, a NaN, or bits left over.
fn all_finite(digits: &[u8]) -> bool {
    let (mut bits, mut bit_count, mut float, mut byte_count) = (0_u32, 0_u32, 0_u32, 0_u32);
    for &digit in digits {
        let value = DIGITS[usize::from(digit)];
        if value == INVALID {
            return false;
        }
        bits = bits << 6 | u32::from(value);
        bit_count += 6;
        if bit_count < 8 {
            continue;
        }
        bit_count -= 8;
        float = float >> 8 | (bits >> bit_count & 0xff) << 24;
        bits &= (1 << bit_count) - 1;
        byte_count += 1;
        if byte_count.is_multiple_of(4) && !f32::from_bits(float).is_finite() {
            return false;
        }
    }
    bits == 0
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
