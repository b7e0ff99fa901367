//! `/connect/{token}`: the invitation. Seeing it spends nothing, so link previews may; its button does.

use askama::Template;

use super::{
    frame::{Frame, Place},
    text::fill,
};

/// The invitation. Its form goes to the address that the page has, so the token stands nowhere in it.
#[derive(Template)]
#[template(path = "portal/opening.html")]
pub(in crate::http) struct Opening<'a> {
    /// Without a visitor: nobody is signed in yet.
    pub(in crate::http) frame: Frame<'a>,
    /// The actor's name, if the app told one.
    pub(in crate::http) actor: Option<String>,
    /// As whom the browser visits already. Then it is left to the person to press the button: another site
    /// may have opened the link, to have keys entered into its own organization.
    pub(in crate::http) instead_of: Option<String>,
}

impl Opening<'_> {
    /// None of those that the navigation leads to.
    const PLACE: Option<Place> = None;

    fn title(&self) -> String {
        self.frame.say(self.frame.t.opening_title)
    }

    fn instead(&self) -> Option<String> {
        let actor = self.instead_of.as_deref()?;
        Some(fill(self.frame.t.opening_instead, &[("actor", actor)]))
    }

    fn hello(&self) -> Option<String> {
        let actor = self.actor.as_deref()?;
        Some(fill(self.frame.t.opening_hello, &[("actor", actor)]))
    }
}
