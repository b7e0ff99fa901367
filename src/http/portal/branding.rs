//! The app whose customers see the portal: its name, logo and colour.

use crate::domain::colour::{Colour, READABLE, VISIBLE};

/// How the portal is dressed.
#[derive(Debug, Clone)]
pub(in crate::http) struct Branding {
    /// The app's name, as its customers know it.
    pub(in crate::http) app_name: String,
    /// Its logo, best a square one. The Content-Security-Policy must name its origin.
    pub(in crate::http) logo_url: Option<String>,
    /// Its colour; a calm blue if there is none.
    pub(in crate::http) accent: Option<Colour>,
}

const ACCENT: Colour = Colour::new(0x2b, 0x55, 0xc9);

/// One of the two colour schemes, as far as the accent meets it: `--ground`, `--card` and `--well` of
/// `portal.css`, and the end towards which an accent moves that is too close to them.
struct Scheme {
    grounds: [Colour; 3],
    end: Colour,
}

const LIGHT: Scheme = Scheme {
    grounds: [Colour::new(0xf7, 0xf6, 0xf3), Colour::WHITE, Colour::new(0xf1, 0xf0, 0xec)],
    end: Colour::BLACK,
};
const DARK: Scheme = Scheme {
    grounds: [Colour::new(0x13, 0x14, 0x17), Colour::new(0x1b, 0x1d, 0x21), Colour::new(0x24, 0x26, 0x2b)],
    end: Colour::WHITE,
};

/// The stylesheet with the accent: what is on it, around it, and text in its colour can be read in both
/// schemes, whichever it is.
pub(super) fn theme_css(branding: &Branding) -> String {
    let accent = branding.accent.unwrap_or(ACCENT);
    let (light, dark) = (variables(accent, &LIGHT), variables(accent, &DARK));
    format!(":root{{{light}}}\n@media (prefers-color-scheme:dark){{:root{{{dark}}}}}\n")
}

fn variables(accent: Colour, scheme: &Scheme) -> String {
    let ink = accent.ink();
    // Away from the ink, so that it is read better still.
    let pressed = accent.mix(if ink == Colour::WHITE { Colour::BLACK } else { Colour::WHITE }, 8);
    let edge = accent.apart_from(&scheme.grounds, VISIBLE, scheme.end);
    let text = accent.apart_from(&scheme.grounds, READABLE, scheme.end);
    format!(
        "--accent:{accent};--on-accent:{ink};--accent-pressed:{pressed};--accent-edge:{edge};--accent-text:{text}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn branding(accent: Option<Colour>) -> Branding {
        Branding { app_name: "Acme".into(), logo_url: None, accent }
    }

    fn variable(css: &str, name: &str) -> Colour {
        let value = css.split(&format!("--{name}:")).nth(1).unwrap();
        value[..7].parse().unwrap()
    }

    #[test]
    fn every_accent_can_be_read_in_both_schemes() {
        let steps = [0, 51, 102, 128, 153, 204, 255];
        for red in steps {
            for (green, blue) in steps.into_iter().flat_map(|green| steps.map(|blue| (green, blue))) {
                let accent = Colour::new(red, green, blue);
                let css = theme_css(&branding(Some(accent)));
                let (light, dark) = css.split_once("@media").unwrap();
                for (css, scheme) in [(light, LIGHT), (dark, DARK)] {
                    assert_eq!(variable(css, "accent"), accent);
                    let ink = variable(css, "on-accent");
                    assert!(accent.contrast(ink) >= READABLE, "{accent}: {css}");
                    assert!(variable(css, "accent-pressed").contrast(ink) >= READABLE, "{accent}: {css}");
                    for ground in scheme.grounds {
                        assert!(variable(css, "accent-text").contrast(ground) >= READABLE, "{accent}: {css}");
                        assert!(variable(css, "accent-edge").contrast(ground) >= VISIBLE, "{accent}: {css}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_grounds_are_those_of_the_stylesheet() {
        let css = include_str!("portal.css");
        let (light, dark) = css.split_once("prefers-color-scheme: dark").unwrap();
        for (css, scheme) in [(light, LIGHT), (dark, DARK)] {
            for (name, colour) in ["ground", "card", "well"].into_iter().zip(scheme.grounds) {
                assert!(css.contains(&format!("--{name}: {colour};")), "--{name} is not {colour}");
            }
        }
    }
}
