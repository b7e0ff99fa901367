//! What can go wrong with a vault, in the reader's language. The English words are those of the API.

use crate::{domain::vault::Trouble, http::portal::text::Texts};

/// A kind of trouble, its cause and its remedy.
pub(in crate::http::portal) struct Words {
    pub(in crate::http::portal) title: &'static str,
    pub(in crate::http::portal) cause: &'static str,
    pub(in crate::http::portal) remedy: &'static str,
}

pub(super) const fn words(trouble: Trouble, t: &Texts) -> Words {
    let (title, cause, remedy) = match trouble {
        Trouble::ConnectionFailed => {
            (t.connection_failed, t.connection_failed_cause, t.connection_failed_remedy)
        }
        Trouble::Unauthorized => (t.unauthorized, t.unauthorized_cause, t.unauthorized_remedy),
        Trouble::KeyNotFound => (t.key_not_found, t.key_not_found_cause, t.key_not_found_remedy),
        Trouble::BadResponse => (t.bad_response, t.bad_response_cause, t.bad_response_remedy),
    };
    Words { title, cause, remedy }
}

/// The table of what can go wrong.
pub(in crate::http::portal) fn table(t: &Texts) -> [Words; 4] {
    Trouble::ALL.map(|trouble| words(trouble, t))
}
