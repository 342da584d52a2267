"""A Cloudflare Access of our own for the tests of identity."""

from tests.identity import behind_access, key_server  # noqa: F401
