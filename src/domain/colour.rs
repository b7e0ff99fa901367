//! Colours, and whether they can be told apart (WCAG 2.2).

use std::{fmt, str::FromStr};

/// What text must have against what is behind it.
pub const READABLE: f64 = 4.5;

/// What the edge of a thing must have against what is around it.
pub const VISIBLE: f64 = 3.0;

/// A colour, written `#rrggbb`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Colour([u8; 3]);

/// Not a colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a colour is # and six hexadecimal digits")]
pub struct InvalidColour;

impl FromStr for Colour {
    type Err = InvalidColour;

    fn from_str(text: &str) -> Result<Self, InvalidColour> {
        let digits = text.strip_prefix('#').ok_or(InvalidColour)?;
        if digits.len() != 6 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(InvalidColour);
        }
        let [_, red, green, blue] = u32::from_str_radix(digits, 16).map_err(|_| InvalidColour)?.to_be_bytes();
        Ok(Self([red, green, blue]))
    }
}

impl fmt::Display for Colour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self([red, green, blue]) = self;
        write!(f, "#{red:02x}{green:02x}{blue:02x}")
    }
}

impl Colour {
    /// Black.
    pub const BLACK: Self = Self([0, 0, 0]);
    /// White.
    pub const WHITE: Self = Self([255, 255, 255]);

    /// The colour of these amounts of red, green and blue.
    #[must_use]
    pub const fn new(red: u8, green: u8, blue: u8) -> Self {
        Self([red, green, blue])
    }

    /// How much light it gives, from 0 to 1.
    fn luminance(self) -> f64 {
        let linear = |channel: u8| {
            let channel = f64::from(channel) / 255.0;
            if channel <= 0.04045 { channel / 12.92 } else { ((channel + 0.055) / 1.055).powf(2.4) }
        };
        let [red, green, blue] = self.0.map(linear);
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    }

    /// From 1, for the same colour twice, to 21.
    #[must_use]
    pub fn contrast(self, other: Self) -> f64 {
        let (one, two) = (self.luminance(), other.luminance());
        (one.max(two) + 0.05) / (one.min(two) + 0.05)
    }

    /// Black or white: what is better read on it. One of them always has 4.5.
    #[must_use]
    pub fn ink(self) -> Self {
        if self.contrast(Self::WHITE) >= READABLE { Self::WHITE } else { Self::BLACK }
    }

    /// The colour itself if it has that contrast to all of `grounds`; else the nearest shade towards
    /// `end` that does.
    #[must_use]
    pub fn apart_from(self, grounds: &[Self], contrast: f64, end: Self) -> Self {
        let shades = (0..=50).map(|step| self.mix(end, step));
        let enough = |shade: &Self| grounds.iter().all(|ground| shade.contrast(*ground) >= contrast);
        shades.into_iter().find(enough).unwrap_or(end)
    }

    /// `fiftieths` of the way to `other`.
    #[must_use]
    pub fn mix(self, other: Self, fiftieths: u16) -> Self {
        let mut mixed = self.0;
        for (channel, end) in mixed.iter_mut().zip(other.0) {
            let sum = u16::from(*channel) * (50 - fiftieths) + u16::from(end) * fiftieths;
            *channel = u8::try_from(sum / 50).unwrap_or(u8::MAX);
        }
        Self(mixed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contrast_is_as_wcag_computes_it() {
        let contrast = |one: &str, two: &str| {
            let contrast = one.parse::<Colour>().unwrap().contrast(two.parse().unwrap());
            (contrast * 100.0).round() / 100.0
        };
        for (one, two, expected) in [
            ("#000000", "#ffffff", 21.0),
            ("#ffffff", "#ffffff", 1.0),
            ("#777777", "#ffffff", 4.48),
            ("#767676", "#ffffff", 4.54),
            ("#ff0000", "#ffffff", 4.0),
            ("#0000ff", "#ffffff", 8.59),
        ] {
            assert!((contrast(one, two) - expected).abs() < 0.011, "{one} {two}: {}", contrast(one, two));
        }
    }

    #[test]
    fn a_colour_is_six_digits() {
        assert_eq!("#1A2b3c".parse::<Colour>().unwrap().to_string(), "#1a2b3c");
        for wrong in ["", "#", "1a2b3c", "#1a2b3", "#1a2b3c4", "#+a2b3c", "#ääa", "red", "#fff;}"] {
            assert_eq!(wrong.parse::<Colour>(), Err(InvalidColour), "{wrong}");
        }
    }
}
