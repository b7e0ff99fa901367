//! The customer vault: an organization's own function, which holds its keys.

mod template;
