//! The vault in every state that looks different.

use super::{Sample, Samples, moment};
use crate::{
    domain::{
        clock::CountingRandom,
        vault::{TestOutcome, VaultTest, VaultToken},
    },
    http::portal::{
        Page,
        connection::{ConnectionPage, Keys},
        provider::State,
        security::{Kept, Part, Security},
        vault::{Vault, key::KeyView, notice::VaultNotice},
    },
};

impl Samples {
    /// The Security page.
    pub(super) fn vaults(&self) -> Vec<Sample> {
        let empty = Vault { environment: 57, ..Vault::default() };
        let ready = self.vault();
        let enabled = Vault { enabled: true, ..ready.clone() };
        let crowded = Vault { environment: 4_200, with_values: true, ..enabled.clone() };
        let refused = Vault {
            refused_url: Some(self.write("https://vault.example/")),
            notice: Some(VaultNotice::UrlRefused),
            detail: Some(self.write("the vault's host must be one of *.on.aws.")),
            ..empty.clone()
        };
        let token = || Some(VaultToken::generate(&CountingRandom::default()));
        let mut pages = vec![
            ("security-aws".to_owned(), empty),
            ("security-configured".into(), ready.clone()),
            ("security-enabled".into(), enabled.clone()),
            ("security-crowded".into(), crowded),
            ("security-refused".into(), refused),
            ("security-token".into(), Vault { new_token: token(), ..ready.clone() }),
            ("security-token-enabled".into(), Vault { new_token: token(), ..enabled }),
        ];
        pages.extend(VaultNotice::ALL.into_iter().enumerate().map(|(number, notice)| {
            (format!("security-notice-{number:02}"), Vault { notice: Some(notice), ..ready.clone() })
        }));
        let mut pages: Vec<_> = pages
            .into_iter()
            .map(|(name, vault)| (name, self.security(Kept::Aws, Part::Whole(Box::new(vault)))))
            .collect();
        let only = Part::OnlyFor(vec![self.write("Vapi"), self.write("OpenAI")]);
        pages.push(("security-local".into(), self.security(Kept::Local, only)));
        pages
    }

    fn security(&self, kept: Kept, vault: Part) -> String {
        Security { frame: self.frame(), kept, vault }.html()
    }

    /// One that has everything but a key.
    fn vault(&self) -> Vault {
        let test = VaultTest {
            outcome: TestOutcome::Ok,
            missing: vec![self.write("bot_channel_help_slack_bot_token")],
            latency_ms: 123,
            environment: 612,
            at: "2026-11-21T21:17:00Z".parse().unwrap(),
        };
        Vault {
            url: Some(self.write("https://abc123.lambda-url.us-east-1.on.aws/")),
            token_hint: Some(self.write("…9f3c")),
            last_test: Some(test),
            keys: self.keys(),
            environment: 212,
            ..Vault::default()
        }
    }

    fn keys(&self) -> Vec<KeyView> {
        let key = |name: &str, about: &str, required, found| KeyView {
            name: self.write(name),
            about: self.write(about),
            required,
            found,
        };
        vec![
            key("ai_provider_openai_api_key", "OpenAI: API key", true, Some(true)),
            key("bot_channel_help_slack_bot_token", "Slack: Bot token", true, Some(false)),
            key("bot_channel_help_slack_signing_secret", "Slack: Signing secret", false, Some(false)),
            key("wf_conn_mail_token", "SendGrid: API key", true, None),
        ]
    }

    /// A connection while the vault is enabled.
    pub(super) fn in_vault(&self, name: &str, state: State) -> ConnectionPage<'_> {
        let mut page = self.connection(name, state);
        let names = if state == State::NotConnected { Vec::new() } else { self.keys() };
        page.vault = Some(Keys { names, tested_at: Some(moment()), whole: state != State::LacksKey });
        if let Some(stored) = &mut page.stored {
            stored.fields.clear();
            stored.can_roll_back = false;
        }
        page
    }
}
