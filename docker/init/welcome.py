"""Says how to call the service that has just come up."""

import os
from pathlib import Path

BASE = os.environ["PUBLISHED_URL"]
CONNECTION = f"{BASE}/v1/orgs/acme/connections/vapi"

# One line a command: Compose puts the service's name before each.
print(f"""
keybroker is up on {BASE}

Token, with every scope for every organization:

  export KEYBROKER_TOKEN={Path("/token/token").read_text().strip()}

Store a Vapi key of the organization acme, and read it back. The fake provider takes keys that start with sk-good:

  curl -X PUT {CONNECTION} -H "Authorization: Bearer $KEYBROKER_TOKEN" -H 'Content-Type: application/json' -d '{{"credentials":{{"publicApiKey":"pk-demo","privateApiKey":"sk-good-0123456789"}}}}'

  curl {CONNECTION}/credentials -H "Authorization: Bearer $KEYBROKER_TOKEN"

Try it with the provider:

  curl -X POST {CONNECTION}/verify -H "Authorization: Bearer $KEYBROKER_TOKEN"

API documentation: {BASE}/docs
Metrics: {os.environ["PUBLISHED_METRICS_URL"]}/metrics
Fake provider: {os.environ["PUBLISHED_PROVIDER_URL"]}
""")
