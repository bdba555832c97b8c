//! Number tokens, judged without parsing them.

use memchr::{memchr_iter, memchr2_iter};

/// Digits before the point with which no number reaches the end of f32 (3.4e38).
const SAFE_DIGITS: usize = 38;

/// What is known of the numbers of a list.
pub(super) struct Numbers {
    pub(super) count: u32,
    /// None can be too large for f32.
    pub(super) sound: bool,
}

/// Judges what stands between the brackets of a list that is valid JSON; `None` if it is not all numbers.
pub(super) fn scan_list(list: &[u8]) -> Option<Numbers> {
    // Folds over all bytes instead of stopping early: that is what becomes vector instructions.
    let (mut foreign, mut digits) = (false, false);
    for &byte in list {
        let digit = byte.is_ascii_digit();
        digits |= digit;
        foreign |=
            !digit & !matches!(byte, b',' | b'.' | b'-' | b'+' | b'e' | b'E' | b' ' | b'\n' | b'\r' | b'\t');
    }
    if foreign {
        return None;
    }
    let (mut count, mut start, mut short) = (u32::from(digits), 0, true);
    for comma in memchr_iter(b',', list) {
        count += 1;
        short &= is_short(&list[start..comma]);
        start = comma + 1;
    }
    let sound = short && is_short(&list[start..]) && exponents_are_negative(list);
    Some(Numbers { count, sound })
}

/// True if the token, blanks around it included, has few digits before its point.
fn is_short(token: &[u8]) -> bool {
    token.len() <= SAFE_DIGITS
        || token.iter().take_while(|&&byte| !matches!(byte, b'.' | b'e' | b'E')).count() <= SAFE_DIGITS
}

fn exponents_are_negative(list: &[u8]) -> bool {
    memchr2_iter(b'e', b'E', list).all(|place| list.get(place + 1) == Some(&b'-'))
}

/// What a metadata value that starts like a number is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Number {
    /// Surely an i64.
    Integer,
    /// Surely a finite float.
    Float,
    /// Left to Chroma.
    Doubtful,
}

/// Judges a whole token that is valid JSON.
pub(super) fn classify(token: &str) -> Number {
    if !scan_list(token.as_bytes()).is_some_and(|numbers| numbers.sound) {
        return Number::Doubtful;
    }
    if token.contains(['.', 'e', 'E']) {
        return Number::Float;
    }
    let digits = token.len() - usize::from(token.starts_with('-'));
    if digits <= 18 && token != "-0" { Number::Integer } else { Number::Doubtful }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_surely_fits_is_sound() {
        assert_eq!(classify("-12"), Number::Integer);
        assert_eq!(classify("0.25"), Number::Float);
        assert_eq!(classify("5.9e-08"), Number::Float);
        for token in ["1e5", "1e+5", "-0", "9223372036854775808", &"9".repeat(39)] {
            assert_eq!(classify(token), Number::Doubtful, "{token}");
        }
    }

    #[test]
    fn a_list_is_as_sound_as_its_worst_number() {
        let judge = |list: &str| scan_list(list.as_bytes()).map(|numbers| (numbers.count, numbers.sound));
        assert_eq!(judge("  "), Some((0, true)));
        assert_eq!(judge("12345678901234567890, 12345678901234567890 ,1.5e-300"), Some((3, true)));
        assert_eq!(judge(&format!("1,0.{}", "9".repeat(60))), Some((2, true)));
        assert_eq!(judge(&format!("1,{},2", "9".repeat(39))), Some((3, false)));
        assert_eq!(judge("1,2E9"), Some((2, false)));
        for foreign in ["1,true", "[1]", "\"1\"", "1,null"] {
            assert_eq!(judge(foreign), None, "{foreign}");
        }
    }
}
