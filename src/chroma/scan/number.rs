//! Number tokens, judged without parsing them.

/// Digits before the point with which no number reaches the end of f32 (3.4e38).
const SAFE_DIGITS: u32 = 38;

/// Judges the bytes of number tokens one by one.
#[derive(Default)]
pub(super) struct Judge {
    /// Digits of the whole part so far.
    digits: u32,
    stage: Stage,
    /// Becomes false where a number might be too large for f32.
    pub(super) sound: bool,
}

#[derive(Default, PartialEq)]
enum Stage {
    #[default]
    Whole,
    Fraction,
    /// Just after `e`: a sign must tell that it is negative.
    Exponent,
    /// In an exponent whose sign was seen.
    Power,
}

impl Judge {
    pub(super) fn new() -> Self {
        Self { sound: true, ..Self::default() }
    }

    /// The next byte of a token; false if it is none of a number's.
    pub(super) fn push(&mut self, byte: u8) -> bool {
        match byte {
            b'0'..=b'9' => match self.stage {
                Stage::Whole => {
                    self.digits += 1;
                    self.sound &= self.digits <= SAFE_DIGITS;
                }
                Stage::Exponent => self.sound = false,
                Stage::Fraction | Stage::Power => {}
            },
            b'.' => self.stage = Stage::Fraction,
            b'e' | b'E' => self.stage = Stage::Exponent,
            b'-' => {
                if self.stage == Stage::Exponent {
                    self.stage = Stage::Power;
                }
            }
            b'+' => self.sound = false,
            _ => return false,
        }
        true
    }

    /// A token ended.
    pub(super) fn end(&mut self) {
        self.digits = 0;
        self.stage = Stage::Whole;
    }
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
    let mut judge = Judge::new();
    let readable = token.bytes().all(|byte| judge.push(byte));
    if !readable || !judge.sound {
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
    fn digits_are_counted_anew_in_each_token() {
        let mut judge = Judge::new();
        for _ in 0..5 {
            assert!("12345678901".bytes().all(|byte| judge.push(byte)));
            judge.end();
        }
        assert!(judge.sound);
    }
}
