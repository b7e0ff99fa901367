//! What came of what someone did, in words that help.

use std::time::Duration;

use super::{frame::Frame, moment::minutes, provider::ProviderView, text::fill, vault::notice::VaultNotice};
#[cfg(test)]
use crate::domain::vault::Trouble;

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum Notice {
    /// A first key is stored, or one after a disconnection.
    Connected,
    /// Another key is stored in the place of the one before.
    Replaced,
    /// The same key was there already.
    Unchanged,
    /// The provider took the stored key.
    TestedValid,
    /// The provider has no test.
    NoTest,
    /// The key before is current again.
    RolledBack,
    /// The keys are erased.
    Disconnected,
    /// The provider refused the key that was entered.
    KeyRejected,
    /// The provider refused the stored key.
    StoredKeyRejected,
    /// The provider did not answer, so the entered key was not stored.
    Unreachable,
    /// The provider did not answer to a test.
    TestUnreachable,
    /// Fields are missing or wrong; each one says what.
    WrongFormat,
    /// Another write is under way.
    WriteUnderWay,
    /// It was changed since the page was opened.
    Changed,
    /// The name is another provider's.
    OtherProvider,
    /// There is no key to go back to.
    NoPrevious,
    /// The store, or the database, does not answer.
    StoreDown,
    /// The store refuses until an operator acts.
    StoreRefused,
    /// AWS is deleting the secret.
    ScheduledForDeletion,
    /// More than the store takes.
    TooLarge,
    /// Too many attempts; that is how long to wait.
    TooManyAttempts(Duration),
    /// The account is connected; its keys are in the organization's own vault.
    Registered,
    /// It is disconnected; its keys stay in the vault.
    DisconnectedInVault,
    /// The provider refused the key in the vault.
    KeyInVaultRejected,
    /// The keys are in the vault, so none was taken.
    KeysInVault,
    /// What there is to say of the vault itself.
    Vault(VaultNotice),
}

/// How it looks, and whether it is read out at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Good,
    Neutral,
    Bad,
}

impl Tone {
    pub(super) const fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Neutral => "neutral",
            Self::Bad => "bad",
        }
    }

    /// A failure interrupts; the rest is told when there is time.
    pub(super) const fn role(self) -> &'static str {
        match self {
            Self::Good | Self::Neutral => "status",
            Self::Bad => "alert",
        }
    }
}

impl Notice {
    #[cfg(test)]
    pub(super) const ALL: [Self; 26] = [
        Self::Connected,
        Self::Replaced,
        Self::Unchanged,
        Self::TestedValid,
        Self::NoTest,
        Self::RolledBack,
        Self::Disconnected,
        Self::KeyRejected,
        Self::StoredKeyRejected,
        Self::Unreachable,
        Self::TestUnreachable,
        Self::WrongFormat,
        Self::WriteUnderWay,
        Self::Changed,
        Self::OtherProvider,
        Self::NoPrevious,
        Self::StoreDown,
        Self::StoreRefused,
        Self::ScheduledForDeletion,
        Self::TooLarge,
        Self::TooManyAttempts(Duration::from_secs(90)),
        Self::Registered,
        Self::DisconnectedInVault,
        Self::KeyInVaultRejected,
        Self::KeysInVault,
        Self::Vault(VaultNotice::Trouble(Trouble::KeyNotFound)),
    ];

    pub(super) const fn tone(self) -> Tone {
        match self {
            Self::Connected
            | Self::Replaced
            | Self::Unchanged
            | Self::TestedValid
            | Self::RolledBack
            | Self::Disconnected
            | Self::Registered
            | Self::DisconnectedInVault => Tone::Good,
            Self::NoTest => Tone::Neutral,
            Self::Vault(notice) => notice.tone(),
            _ => Tone::Bad,
        }
    }

    /// Whether the app can go on with the account.
    pub(super) const fn is_connected(self) -> bool {
        matches!(self, Self::Connected | Self::Replaced | Self::Unchanged | Self::Registered)
    }

    /// Whether the form may have been refused, so that it has to be open.
    pub(super) fn is_about_form(self) -> bool {
        self.tone() == Tone::Bad && !matches!(self, Self::TestUnreachable | Self::NoPrevious | Self::Vault(_))
    }

    /// Whether the same key may do if it is entered again.
    pub(super) const fn wants_key(self) -> bool {
        matches!(self, Self::Unreachable | Self::WriteUnderWay)
    }

    /// Whether another test may tell more.
    pub(super) const fn wants_test(self) -> bool {
        matches!(self, Self::TestUnreachable | Self::Vault(VaultNotice::Trouble(_)))
    }

    /// Whether there is more to read before the app goes on: names of keys.
    pub(super) const fn tells_keys(self) -> bool {
        matches!(self, Self::Registered)
    }

    pub(super) fn title(self, frame: &Frame, provider: &ProviderView) -> String {
        frame.of(self.texts(frame, provider).0, &provider.display_name)
    }

    pub(super) fn body(self, frame: &Frame, provider: &ProviderView) -> String {
        let text = self.texts(frame, provider).1;
        match self {
            Self::TooManyAttempts(wait) => fill(text, &[("minutes", &minutes(wait))]),
            Self::Vault(notice) => notice.words(frame),
            _ => frame.of(text, &provider.display_name),
        }
    }

    fn texts(self, frame: &Frame, provider: &ProviderView) -> (&'static str, &'static str) {
        let t = frame.t;
        match self {
            Self::Connected if provider.verifies => (t.connected_title, t.connected_body),
            Self::Connected => (t.connected_title, t.connected_unchecked_body),
            Self::Replaced => (t.replaced_title, t.replaced_body),
            Self::Unchanged => (t.unchanged_title, t.unchanged_body),
            Self::TestedValid => (t.tested_title, t.tested_body),
            Self::NoTest => (t.no_test_title, t.no_test_body),
            Self::RolledBack => (t.rolled_back_title, t.rolled_back_body),
            Self::Disconnected => (t.disconnected_title, t.disconnected_body),
            Self::KeyRejected => (t.rejected_title, t.rejected_body),
            Self::StoredKeyRejected => (t.stored_rejected_title, t.stored_rejected_body),
            Self::Unreachable => (t.unreachable_title, t.unreachable_body),
            Self::TestUnreachable => (t.unreachable_title, t.test_unreachable_body),
            Self::WrongFormat => (t.wrong_format_title, t.wrong_format_body),
            Self::WriteUnderWay => (t.under_way_title, t.under_way_body),
            Self::Changed => (t.changed_title, t.changed_body),
            Self::OtherProvider => (t.other_provider_title, t.other_provider_body),
            Self::NoPrevious => (t.no_previous_title, t.no_previous_body),
            Self::StoreDown => (t.store_down_title, t.store_down_body),
            Self::StoreRefused => (t.store_refused_title, t.store_refused_body),
            Self::ScheduledForDeletion => (t.being_deleted_title, t.being_deleted_body),
            Self::TooLarge => (t.too_large_title, t.too_large_body),
            Self::TooManyAttempts(_) => (t.attempts_title, t.attempts_body),
            Self::Registered => (t.connected_title, t.registered_body),
            Self::DisconnectedInVault => (t.disconnected_title, t.in_vault_disconnected_body),
            Self::KeyInVaultRejected => (t.in_vault_rejected_title, t.in_vault_rejected_body),
            Self::KeysInVault => (t.keys_in_vault_title, t.keys_in_vault_body),
            Self::Vault(notice) => (notice.title(frame), ""),
        }
    }
}
