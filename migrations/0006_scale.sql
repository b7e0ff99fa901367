-- What a start asks for, whatever the number of secrets: under which master keys they are.
CREATE INDEX local_secrets_by_key ON local_secrets (key_id);

-- And the reconciler every minute: the writes whose lease is over, the oldest first.
CREATE INDEX write_intents_by_lease ON write_intents (lease_until);
