//! The portal's words, in each language.
//!
//! A text may hold names in braces, which [`fill`] replaces. A test holds the languages against each other:
//! no text is empty, and the same names stand in each.

mod de;
mod en;

/// The languages that the portal speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum Language {
    /// English, which is also what a browser gets that asks for none of the others.
    English,
    /// German.
    German,
}

impl Language {
    #[cfg(test)]
    pub(super) const ALL: [Self; 2] = [Self::English, Self::German];

    /// The one that a browser likes best, by its header `Accept-Language`.
    pub(in crate::http) fn of(accept_language: Option<&str>) -> Self {
        let wishes = accept_language.unwrap_or_default().split(',').filter_map(wish);
        // The first of equals is the one that was named first.
        let best = wishes.reduce(|best, next| if next.1 > best.1 { next } else { best });
        best.map_or(Self::English, |(language, _)| language)
    }

    /// As `lang` says it.
    pub(in crate::http) const fn code(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::German => "de",
        }
    }

    /// Its words.
    pub(in crate::http) const fn texts(self) -> &'static Texts {
        match self {
            Self::English => &en::TEXTS,
            Self::German => &de::TEXTS,
        }
    }
}

/// One entry of the header, if it is a language that is spoken here and not refused by `q=0`.
fn wish(entry: &str) -> Option<(Language, f32)> {
    let mut parts = entry.split(';').map(str::trim);
    let tag = parts.next()?.split('-').next()?.to_ascii_lowercase();
    let quality = parts.find_map(|part| part.strip_prefix("q=")).map_or(Some(1.0), |q| q.parse().ok())?;
    let language = match tag.as_str() {
        "en" | "*" => Language::English,
        "de" => Language::German,
        _ => return None,
    };
    (quality > 0.0 && quality <= 1.0).then_some((language, quality))
}

/// A run of a text: fixed, or what a name in it was replaced by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::http) struct Span {
    pub(super) text: String,
    pub(super) filled: bool,
}

/// Replaces the names in braces. What is put in is not looked at again, whatever braces it has.
pub(super) fn fill(text: &str, values: &[(&str, &str)]) -> String {
    spans(text, values).into_iter().map(|span| span.text).collect()
}

/// The same, with the runs kept apart.
pub(super) fn spans(text: &str, values: &[(&str, &str)]) -> Vec<Span> {
    let mut spans = Vec::new();
    let mut push = |text: &str, filled| {
        if !text.is_empty() {
            spans.push(Span { text: text.to_owned(), filled });
        }
    };
    let mut rest = text;
    while let Some((before, (name, after))) = rest.split_once('{').and_then(|(before, rest)| {
        let named = rest.split_once('}')?;
        Some((before, named))
    }) {
        let value = values.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        debug_assert!(value.is_some(), "{name} has no value in {text}");
        push(before, false);
        push(value.unwrap_or_default(), true);
        rest = after;
    }
    push(rest, false);
    spans
}

macro_rules! texts {
    ($($name:ident,)+) => {
        /// Every text of the portal.
        pub(in crate::http) struct Texts {
            $(pub(in crate::http) $name: &'static str,)+
        }

        #[cfg(test)]
        impl Texts {
            pub(super) fn all(&self) -> Vec<(&'static str, &'static str)> {
                vec![$((stringify!($name), self.$name)),+]
            }
        }
    };
}

texts! {
    // Around every page.
    skip_link, navigation, integrations, activity, security, signed_in_as, sign_out, back_to_app, footer, new_tab,
    // The invitation.
    opening_title, opening_hello, opening_body, opening_once, opening_continue, opening_safe, opening_instead,
    // Integrations.
    integrations_intro, search, search_none, nothing_to_connect,
    state_connected, state_needs_reconnect, state_not_connected,
    last_verified, go_connect, go_manage, go_reconnect,
    category_ai, category_voice, category_channel, category_workflow,
    // One connection.
    connect_title, connect_intro, connect_intro_unchecked, reconnect_title, reconnect_intro,
    replace_title, replace_intro, where_to_find,
    optional, required, example, show, hide, connect, replace, checking, storing,
    account_name, account_name_about, free_intro, free_name, free_value,
    current_key, key_hidden, connected_since, connected_by, never_verified, cannot_verify, what_it_opens,
    test_title, test, test_about, testing, roll_back_title, roll_back, roll_back_about,
    disconnect_title, disconnect, disconnect_warning,
    field_missing, field_too_long, field_wrong, field_wrong_example, field_unnamed,
    // What came of it.
    connected_title, connected_body, connected_unchecked_body, replaced_title, replaced_body,
    unchanged_title, unchanged_body, tested_title, tested_body, no_test_title, no_test_body,
    rolled_back_title, rolled_back_body, disconnected_title, disconnected_body,
    rejected_title, rejected_body, stored_rejected_title, stored_rejected_body,
    unreachable_title, unreachable_body, test_unreachable_body, try_again,
    wrong_format_title, wrong_format_body, under_way_title, under_way_body, changed_title, changed_body,
    other_provider_title, other_provider_body, no_previous_title, no_previous_body,
    store_down_title, store_down_body, store_refused_title, store_refused_body,
    being_deleted_title, being_deleted_body, too_large_title, too_large_body,
    attempts_title, attempts_body,
    // Activity.
    activity_intro, activity_empty, activity_older, activity_newest, actor_token, actor_operator, actor_service,
    created, updated, unchanged, verified, needs_reconnect, rolled_back, disconnected, read_once, read_many,
    session_created, session_opened, vault_enabled, vault_disabled, vault_tested, vault_token_created,
    token_created, token_revoked, something_else,
    // Security.
    security_intro, kept_title, kept_aws, kept_local, kept_vault, kept_apart,
    readers_title, readers_app, readers_service, readers_people, shown_title, shown_body, leaked_title, leaked_body,
    // The organization's own vault.
    vault_title, vault_on, vault_off, vault_intro, vault_limited, step_done, step_next,
    vault_download_title, vault_download_body, vault_download,
    vault_create_title, vault_create_function, vault_create_code, vault_create_url, vault_warning,
    vault_permissions,
    vault_keys_title, vault_keys_body, vault_keys_none, keys_as_of, key_found, key_lacking, key_left_out, key_untested,
    vault_room_names, vault_room_values, vault_room_over, copy, copied,
    vault_url_title, vault_url_label, vault_url_about, save,
    vault_token_title, vault_token_body, vault_token_hint, vault_token_warning, generate_token,
    vault_new_token_title, vault_new_token_body, vault_new_token_enabled,
    vault_test_title, vault_test_body, vault_testing, vault_last_test, vault_answered, vault_answered_lacking,
    vault_enable_title, vault_enable_body, enable, vault_disable_title, vault_disable_body, disable,
    vault_help_title, vault_help_trouble, vault_help_cause, vault_help_remedy, vault_detail,
    connection_failed, connection_failed_cause, connection_failed_remedy,
    unauthorized, unauthorized_cause, unauthorized_remedy,
    key_not_found, key_not_found_cause, key_not_found_remedy, bad_response, bad_response_cause, bad_response_remedy,
    vault_forget_title, vault_forget_warning, vault_forget,
    vault_saved_title, vault_saved_body, vault_tested_title, vault_tested_body,
    vault_turned_on_title, vault_turned_on_body, vault_turned_off_title, vault_turned_off_body,
    vault_forgotten_title, vault_forgotten_body, vault_url_refused_title, vault_url_refused_body,
    vault_other_token_title, vault_other_token_body, vault_under_way_title, vault_under_way_body,
    vault_no_token_title, vault_no_token_body, vault_no_url_title, vault_no_url_body,
    // A connection whose keys are in it.
    state_lacks_key, in_vault_title, in_vault_body, in_vault_link, in_vault_intro, registering, registered_body,
    in_vault_test_about, in_vault_disconnect_warning, in_vault_disconnected_body,
    in_vault_rejected_title, in_vault_rejected_body, keys_in_vault_title, keys_in_vault_body,
    // Where nothing goes on.
    link_gone_title, link_gone_body, session_over_title, session_over_body, signed_out_title, signed_out_body,
    too_many_title, too_many_body, not_found_title, not_found_body, failure_title, failure_body,
    unavailable_title, unavailable_body, forbidden_title, forbidden_body, request_id,
}

#[cfg(test)]
mod tests;
