"""The OpenID provider that people sign in at: asked in time, in few words, and believed in little.

Authorization code with PKCE, state and nonce (OpenID Connect Core 1.0, section 3.1; RFC 7636). Only
what the issuer of the settings has signed counts, with the algorithms named here and the keys that
it publishes; what a token's header says of keys does not.
"""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import quote_plus, urlsplit

import httpx
import structlog

from taskservice.settings import Settings, is_local

SECONDS = 10.0
"""How long the provider may take over all that one sign-in asks of it."""

LOOK_SECONDS = 3.0
"""How long the page of the sign-in waits to learn whether the provider is there."""

KEPT_SECONDS = 300.0
"""For how long what the provider says of itself is kept where somebody signs in."""

AWAY_SECONDS = 5.0
"""For how long the page of the sign-in takes it for there, or away, as it was seen last."""

KEYS_SECONDS = 1.0
"""How often its keys are fetched at most: a token may name one that is new."""

LEEWAY_SECONDS = 60
"""By how much its clock may differ."""

LARGEST_ANSWER = 1024 * 1024
MOST_AT_ONCE = 20
MOST_GROUPS = 10_000

ALGORITHMS = (
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
)  # fmt: skip
"""Those of public keys. With a shared secret the token could be anybody's who has that."""

log = structlog.get_logger()


class ProviderAway(Exception):
    """The provider does not answer, or not as one; its text is one line."""


class NotBelieved(Exception):
    """What came back from the provider does not show who signs in; its text is one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A sign-in that was begun: what must come back, and where it leads."""

    id: str
    state: str
    nonce: str
    verifier: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Who signed in, as the provider calls them, and their groups."""

    name: str
    groups: tuple[str, ...]


def new_attempt() -> Attempt:
    """An attempt that nobody can guess; the verifier is as RFC 7636, section 4.1, has it."""
    return Attempt(
        id=secrets.token_hex(8),
        state=secrets.token_urlsafe(24),
        nonce=secrets.token_urlsafe(24),
        verifier=secrets.token_urlsafe(48),
    )


class Provider:
    """The issuer of the settings."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._callback = f"{settings.url}/sign-in/callback"
        self._metadata: Mapping[str, Any] | None = None
        self._asked_at = self._keys_at = float("-inf")
        self._away: str | None = None
        self._keys: Mapping[str, Any] = {}
        self._asking = asyncio.Lock()
        self._at_once = asyncio.Semaphore(MOST_AT_ONCE)

    @property
    def name(self) -> str:
        """What the provider is called on a page: its host."""
        return urlsplit(self._settings.oidc_issuer).hostname or ""

    async def away(self) -> str | None:
        """Why nobody can sign in by the provider now, if so; waits for `LOOK_SECONDS` at most."""
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                await self._told(kept_seconds=AWAY_SECONDS)
        except ProviderAway as away:
            return str(away)
        except TimeoutError:
            return f"{self.name} does not answer"
        return None

    async def begin(self, attempt: Attempt) -> str:
        """The address of the provider's own page. Raises `ProviderAway`."""
        # They take a while to import, and most services are without a provider.
        from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
        from authlib.oauth2.rfc7636 import create_s256_code_challenge

        async with self._bounded():
            metadata = await self._told()
        scopes = ["openid", "profile", "email"]
        if "groups" in metadata.get("scopes_supported", ()):
            scopes.append("groups")
        return str(
            prepare_grant_uri(
                metadata["authorization_endpoint"],
                client_id=self._settings.oidc_client_id,
                response_type="code",
                redirect_uri=self._callback,
                scope=scopes,
                state=attempt.state,
                nonce=attempt.nonce,
                code_challenge=create_s256_code_challenge(attempt.verifier),
                code_challenge_method="S256",
            )
        )

    async def finish(self, attempt: Attempt, code: str) -> Person:
        """Who has come back with a code. Raises `ProviderAway` and `NotBelieved`."""
        async with self._bounded(), httpx.AsyncClient(**_options()) as client:
            metadata = await self._told()
            token = await self._token(client, metadata, attempt, code)
            claims = await self._claims(metadata, str(token.get("id_token") or ""), attempt)
            if "groups" not in claims:
                access = str(token.get("access_token") or "")
                claims = await self._with_userinfo(client, metadata, access, claims)
        return Person(name=_name(claims), groups=_groups(claims.get("groups")))

    async def _token(
        self, client: httpx.AsyncClient, metadata: Mapping[str, Any], attempt: Attempt, code: str
    ) -> Mapping[str, Any]:
        """What the provider gives for a code (RFC 6749, section 4.1.3)."""
        name, secret = self._settings.oidc_client_id, self._settings.oidc_client_secret
        form = {
            "grant_type": "authorization_code", "code": code, "redirect_uri": self._callback,
            "code_verifier": attempt.verifier, "client_id": name,
        }  # fmt: skip
        auth: httpx.Auth | None = None
        ways = metadata.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        if secret and "client_secret_basic" in ways:
            auth = httpx.BasicAuth(quote_plus(name), quote_plus(secret))
        elif secret:
            form["client_secret"] = secret
        answer = await client.post(
            metadata["token_endpoint"], data=form, auth=auth or httpx.USE_CLIENT_DEFAULT
        )
        if answer.status_code in (400, 401, 403):
            log.warning("sign_in_refused", provider=self.name, status=answer.status_code)
            raise NotBelieved("the provider does not take the code that it gave")
        return _json(answer, "the code")

    async def _claims(
        self, metadata: Mapping[str, Any], token: str, attempt: Attempt
    ) -> Mapping[str, Any]:
        """What a token claims that the issuer made, for this service, of this attempt, just now."""
        from joserfc import errors, jwt

        known = metadata.get("id_token_signing_alg_values_supported", ALGORITHMS)
        allowed = [one for one in ALGORITHMS if one in known]
        registry = jwt.JWTClaimsRegistry(
            leeway=LEEWAY_SECONDS,
            iss={"essential": True, "value": self._settings.oidc_issuer},
            aud={"essential": True, "value": self._settings.oidc_client_id},
            sub={"essential": True},
            exp={"essential": True},
            iat={"essential": True},
            nonce={"essential": True, "value": attempt.nonce},
        )
        try:
            claims: dict[str, Any] = (await self._decoded(metadata, token, allowed)).claims
            registry.validate(claims)
        except (errors.JoseError, ValueError) as error:
            log.warning("sign_in_refused", provider=self.name, reason=str(error)[:200])
            raise NotBelieved("the provider's token is not one for this sign-in") from None
        parties = claims["aud"]
        several = isinstance(parties, list) and len(parties) > 1
        if (several or "azp" in claims) and claims.get("azp") != self._settings.oidc_client_id:
            raise NotBelieved("the provider's token is for somebody else")
        if not isinstance(claims["sub"], str) or not claims["sub"]:
            raise NotBelieved("the provider's token names nobody")
        return claims

    async def _decoded(self, metadata: Mapping[str, Any], token: str, allowed: list[str]) -> Any:
        """A token whose signature is good by a published key; a new key is looked for once."""
        from joserfc import errors, jwt

        try:
            if not self._keys:
                raise ValueError("no keys yet")
            return jwt.decode(token, _key_set(self._keys), algorithms=allowed)
        except (errors.JoseError, ValueError):
            if time.monotonic() - self._keys_at < KEYS_SECONDS:
                raise
            self._keys = await self._fetched(metadata["jwks_uri"])
            self._keys_at = time.monotonic()
        return jwt.decode(token, _key_set(self._keys), algorithms=allowed)

    async def _with_userinfo(
        self,
        client: httpx.AsyncClient,
        metadata: Mapping[str, Any],
        access: str,
        claims: Mapping[str, Any],
    ) -> Mapping[str, Any]:
        """The claims with those of userinfo, which must be of the same person."""
        address = metadata.get("userinfo_endpoint")
        if not isinstance(address, str) or not self._is_safe(address):
            return claims
        answer = await client.get(address, headers={"Authorization": f"Bearer {access}"})
        told = _json(answer, "userinfo")
        if told.get("sub") != claims["sub"]:
            raise NotBelieved("the provider tells of somebody else")
        return {**told, **claims}

    async def _told(self, *, kept_seconds: float = KEPT_SECONDS) -> Mapping[str, Any]:
        """What the provider says of itself (OpenID Connect Discovery 1.0), or said so lately."""
        async with self._asking:
            age = time.monotonic() - self._asked_at
            if self._metadata and age < kept_seconds:
                return self._metadata
            if self._away and age < AWAY_SECONDS:
                raise ProviderAway(self._away)
            issuer = self._settings.oidc_issuer
            try:
                found = await self._fetched(
                    f"{issuer.rstrip('/')}/.well-known/openid-configuration"
                )
                self._check(found)
            except ProviderAway as away:
                self._away, self._metadata = str(away), None
                log.warning("provider_away", provider=self.name, reason=str(away))
                raise
            finally:
                self._asked_at = time.monotonic()
            self._metadata, self._away = found, None
            return found

    def _check(self, metadata: Mapping[str, Any]) -> None:
        issuer = self._settings.oidc_issuer
        if metadata.get("issuer") != issuer:
            raise ProviderAway(f"{self.name} calls itself otherwise than TASKSERVICE_OIDC_ISSUER")
        for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
            address = metadata.get(name)
            if not isinstance(address, str) or not self._is_safe(address):
                raise ProviderAway(f"{self.name} names no {name} that is https://")

    def _is_safe(self, address: str) -> bool:
        """Whether nobody on the way can read along, as with the issuer itself."""
        plain = is_local(self._settings.oidc_issuer) and is_local(address)
        return address.startswith("https://") or plain

    async def _fetched(self, address: str) -> Mapping[str, Any]:
        async with httpx.AsyncClient(**_options()) as client:
            try:
                return _json(await client.get(address), "its configuration")
            except (httpx.HTTPError, httpx.InvalidURL):
                raise ProviderAway(f"{self.name} does not answer") from None

    @asynccontextmanager
    async def _bounded(self) -> AsyncIterator[None]:
        """A block that speaks to the provider: few at once, and in time. Raises `ProviderAway`."""
        if self._at_once.locked():
            raise ProviderAway("too many sign in at once: try again")
        try:
            async with self._at_once, asyncio.timeout(SECONDS):
                yield
        except (TimeoutError, httpx.HTTPError, httpx.InvalidURL):
            raise ProviderAway(f"{self.name} does not answer") from None


class _Brief(httpx.AsyncHTTPTransport):
    """Reads no answer that is longer than it may be, nor one that unfolds to more."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        request.headers["Accept-Encoding"] = "identity"
        answer = await super().handle_async_request(request)
        if answer.headers.get("content-encoding", "identity").lower() != "identity":
            raise httpx.DecodingError("an encoding that was not asked for", request=request)
        assert isinstance(answer.stream, httpx.AsyncByteStream)
        answer.stream = _Counted(answer.stream)
        return answer


class _Counted(httpx.AsyncByteStream):
    def __init__(self, stream: httpx.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = LARGEST_ANSWER
        async for part in self._stream:
            left -= len(part)
            if left < 0:
                raise httpx.ReadError(f"an answer of more than {LARGEST_ANSWER} bytes")
            yield part

    async def aclose(self) -> None:
        await self._stream.aclose()


def _key_set(published: Mapping[str, Any]) -> Any:
    from joserfc.jwk import KeySet

    return KeySet.import_key_set(cast(Any, published))


def _options() -> dict[str, Any]:
    return {"transport": _Brief(), "timeout": SECONDS, "follow_redirects": False}


def _json(answer: httpx.Response, what: str) -> Mapping[str, Any]:
    host = answer.request.url.host
    if answer.status_code != 200:
        raise ProviderAway(f"{host} answers {answer.status_code} to {what}")
    try:
        found = answer.json()
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise ProviderAway(f"{host} answers no JSON object to {what}")
    return found


def _name(claims: Mapping[str, Any]) -> str:
    """An address that the provider has seen to, else the name that is shown there, else the id."""
    email = claims.get("email") if claims.get("email_verified", True) is True else None
    for found in (email, claims.get("preferred_username")):
        if isinstance(found, str) and found.strip():
            return found.strip()
    return str(claims["sub"])


def _groups(claimed: object) -> tuple[str, ...]:
    found = claimed if isinstance(claimed, list) else [claimed]
    return tuple(one for one in found[:MOST_GROUPS] if isinstance(one, str))
