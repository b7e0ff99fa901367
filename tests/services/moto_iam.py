"""moto's server, made to answer for Secrets Manager as AWS does.

Run by serve.py as `python moto_iam.py -H 127.0.0.1 -p PORT`. Each class or method below mends one thing that
would otherwise make a test pass, or fail, for a reason AWS does not have.
"""

import json
import re
import threading

from moto.core.exceptions import JsonRESTError
from moto.iam.access_control import IAMPolicyStatement, IAMRequest
from moto.secretsmanager import urls
from moto.secretsmanager.exceptions import InvalidRequestException, ResourceExistsException
from moto.secretsmanager.responses import SecretsManagerResponse
from moto.server import main

# These name no one secret, so IAM asks for permission on "*".
WITHOUT_RESOURCE = {"BatchGetSecretValue", "GetRandomPassword", "ListSecrets"}
CREATE_BLOCKED = "You can't create this secret because a secret with this name is already scheduled for deletion."
USE_BLOCKED = "You can't perform this operation on the secret because it was marked for deletion."


class Authorization(IAMRequest):
    """Refuses in JSON with Secrets Manager's own codes; moto refuses in the XML of the query services."""

    resource = "*"

    def check_action_permitted(self, resource):
        self.resource = resource
        super().check_action_permitted(resource)
        # AWS asks for a second permission when a secret is created with tags.
        if self._action == "secretsmanager:CreateSecret" and json.loads(self._body).get("Tags"):
            self._action = "secretsmanager:TagResource"
            super().check_action_permitted(resource)

    def _raise_access_denied(self):
        raise JsonRESTError(
            "AccessDeniedException",
            f"User: {self._access_key.arn} is not authorized to perform: {self._action} on resource: "
            f"{self.resource} because no identity-based policy allows the {self._action} action",
        )

    def _raise_invalid_access_key(self, _reason):
        raise JsonRESTError("UnrecognizedClientException", "The security token included in the request is invalid.")

    def _raise_signature_does_not_match(self):
        raise JsonRESTError(
            "InvalidSignatureException",
            "The request signature we calculated does not match the signature you provided. "
            "Check your AWS Secret Access Key and signing method.",
        )


class SecretsManager(SecretsManagerResponse):
    """The endpoint. Its public methods are the actions, by name."""

    # moto walks plain dicts from many threads: two Creates of one name can both succeed, and a Get can be a 500.
    one_at_a_time = threading.Lock()

    def call_action(self):
        with self.one_at_a_time:
            status, headers, body = super().call_action()
        # AWS answers every client error with 400, so that only the code tells; moto answers not-found with 404.
        return 400 if status == 404 else status, headers, body

    def _determine_resource(self):
        """The ARN a policy speaks of. Without this moto asks for "*", and a least-privilege policy allows nothing."""
        action = self._get_action()
        if action in WITHOUT_RESOURCE:
            return "*"
        secret_id = self._get_param("Name" if action == "CreateSecret" else "SecretId") or ""
        if secret_id.startswith("arn:"):
            return secret_id
        secret = self.backend.secrets.get(secret_id)
        # AWS's documentation writes the suffix of a secret that is not there yet as six question marks.
        return (
            secret.arn
            if secret
            else f"arn:aws:secretsmanager:{self.region}:{self.current_account}:secret:{secret_id}-??????"
        )

    def _authenticate_and_authorize_normal_action(self, resource="*"):
        self._authenticate_and_authorize_action(Authorization, resource)

    def _addressed(self, parameter):
        return self.backend.secrets.get(self._get_param(parameter) or "")

    def _refuse_scheduled(self, parameter, message):
        secret = self._addressed(parameter)
        if secret and secret.is_deleted():
            raise InvalidRequestException(message)

    def create_secret(self):
        self._refuse_scheduled("Name", CREATE_BLOCKED)  # moto says ResourceExistsException, or succeeds
        return super().create_secret()

    def get_secret_value(self):
        self._refuse_scheduled("SecretId", USE_BLOCKED)  # moto answers another message, and a lost stage first
        return super().get_secret_value()

    def put_secret_value(self):
        self._refuse_scheduled("SecretId", USE_BLOCKED)  # moto accepts
        return super().put_secret_value()

    def update_secret(self):
        self._refuse_scheduled("SecretId", USE_BLOCKED)  # moto accepts a token it has seen
        secret, token = self._addressed("SecretId"), self._get_param("ClientRequestToken")
        if secret and token in secret.versions:
            # Unlike Put, Update has no idempotent repeat: it can only create a version.
            raise ResourceExistsException(
                f"You can't use ClientRequestToken {token} because that value is already in use "
                f"for a version of secret {secret.arn}."
            )
        return super().update_secret()


def matches(pattern, text):
    """IAM's wildcards. moto makes a regular expression of the pattern unescaped: `?` and `.` mean something else."""
    escaped = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(escaped, text, re.DOTALL)


IAMPolicyStatement._match = staticmethod(matches)
urls.url_paths = dict.fromkeys(urls.url_paths, SecretsManager.dispatch)

if __name__ == "__main__":
    main()
