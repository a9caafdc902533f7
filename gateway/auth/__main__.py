"""`python -m gateway.auth NAME SCOPE...`: makes a key, and prints it once with the entry for the keys file."""

import argparse
import hashlib
import secrets
import sys

from gateway.auth.scopes import Scope


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m gateway.auth", description="Makes an API key.")
    parser.add_argument("name", help="whose key it is, for people")
    parser.add_argument("scopes", nargs="+", choices=[scope.value for scope in Scope], help="what it is for")
    parser.add_argument("--tenant", default="", help="sees only its own collections")
    arguments = parser.parse_args()
    key = f"sk-{secrets.token_urlsafe(32)}"
    scopes = ", ".join(f'"{scope}"' for scope in arguments.scopes)
    sys.stderr.write(f"key, shown only now: {key}\n")
    sys.stdout.write(
        f'[[keys]]\nname = "{arguments.name}"\nsha256 = "{hashlib.sha256(key.encode()).hexdigest()}"\n'
        f'scopes = [{scopes}]\ntenant = "{arguments.tenant}"\n'
    )


if __name__ == "__main__":
    main()
