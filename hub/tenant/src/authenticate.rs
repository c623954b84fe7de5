//! Who a request may act for: its token and tenant header, to [`Grant`]s.
//!
//! Parts: [`Credentials`] (the two headers as they came), [`Need`] (what the route does), [`Access`]
//! (the answer), [`authenticate`]; [`IssuedTokens`], those made at run time, and what was revoked.
//!
//! Rules, in this order: exactly one Authorization header, Bearer or Basic (any user, the token as
//! password); a token that is known by hash, not revoked, not expired; a role that may do this (a
//! reader reads, a writer pushes, an operator does neither but may delete); the token's tenants that still exist and are not erased,
//! narrowed by `X-Scope-OrgID`; a delete is for the one tenant that the operator names there.
//! The header may only narrow: a token of one tenant needs none; of several, reads need it (`a|b`)
//! and pushes need exactly one. Repeated, empty, malformed, too long, foreign or unknown: all the same
//! 403.
//!
//! Promises: nothing is granted by a header alone; unknown and foreign tenants cannot be told apart by
//! answer or work done. Must not do: count failures or wait (the caller may), read clocks.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use proto_model::{TenantId, Timestamp, TokenId};

use crate::fault::AccessFault;
use crate::grant::Grant;
use crate::tenants::Tenants;
use crate::token::{Presented, Role, TOKEN_BYTES_MAX, TokenHash, TokenRecord};

/// Longest Authorization header: a token in Basic with a user of 1,024 bytes stays below it.
pub const AUTHORIZATION_BYTES_MAX: usize = 2048;

/// Longest `X-Scope-OrgID`: some 15 tenants of the longest name, more of usual ones.
pub const SCOPE_BYTES_MAX: usize = 1023;

/// What a request does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Reads a tenant's lines, labels or counts.
    Read,
    /// Writes lines.
    Push,
    /// Uses the admin pages.
    Operate,
    /// Lets lines of one tenant count as gone. Whoever writes must not be able to: a sender that was broken into would wipe its traces.
    Delete,
}

/// The headers that say who asks: every value of each, as bytes, in order.
#[derive(Debug, Clone, Copy, Default)]
pub struct Credentials<'a> {
    /// `Authorization`.
    pub authorization: &'a [&'a [u8]],
    /// `X-Scope-OrgID`.
    pub scope: &'a [&'a [u8]],
}

/// What a request may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// The tenants it acts for, in order of their ids: one or more for reads, one for pushes and deletes, none for operators' other doings.
    pub grants: Vec<Grant>,
    /// The token's role.
    pub role: Role,
    /// The token, for logs and counters.
    pub token: TokenId,
}

/// Tokens made by `tributary-hub token new` at run time (kept in the store), and revocations of any token.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IssuedTokens {
    tokens: BTreeMap<TokenId, TokenRecord>,
    revoked: BTreeSet<TokenId>,
}

impl IssuedTokens {
    /// From what the store holds. A record whose role and tenants do not fit is left out.
    #[must_use]
    pub fn new(tokens: impl IntoIterator<Item = TokenRecord>, revoked: impl IntoIterator<Item = TokenId>) -> Self {
        let tokens = tokens.into_iter().filter(|token| token.mistake().is_none()).map(|token| (token.id.clone(), token)).collect();
        Self { tokens, revoked: revoked.into_iter().collect() }
    }

    /// The tokens, revoked ones too, in order of their ids.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &TokenRecord> {
        self.tokens.values()
    }

    /// Whether `id` is revoked, be it of the file or of the store.
    #[must_use]
    pub fn is_revoked(&self, id: &TokenId) -> bool {
        self.revoked.contains(id)
    }
}

/// Judges a request.
///
/// # Errors
/// [`AccessFault`]; its `status` and `body` are the answer, its text is for the hub's log.
pub fn authenticate(tenants: &Tenants, issued: &IssuedTokens, credentials: &Credentials<'_>, need: Need, now: Timestamp) -> Result<Access, AccessFault> {
    let token = token(tenants, issued, credentials.authorization, now)?;
    let allowed = match token.role {
        Role::Reader => need == Need::Read,
        Role::Writer => need == Need::Push,
        Role::Operator => matches!(need, Need::Operate | Need::Delete),
    };
    if !allowed {
        return Err(AccessFault::Role);
    }
    let held: BTreeSet<&TenantId> = token.tenants.iter().filter(|tenant| tenants.serves(tenant)).collect();
    let asked = scope(credentials.scope)?;
    let acting = match need {
        Need::Operate => operating(asked.as_ref())?,
        Need::Delete => deleting(tenants, asked)?,
        Need::Read | Need::Push => narrowed(&held, asked, need)?,
    };
    Ok(Access { grants: acting.into_iter().map(Grant::new).collect(), role: token.role, token: token.id.clone() })
}

/// The record of the token that the request brings.
fn token<'t>(tenants: &'t Tenants, issued: &'t IssuedTokens, authorization: &[&[u8]], now: Timestamp) -> Result<&'t TokenRecord, AccessFault> {
    let header = match authorization {
        [] => return Err(AccessFault::NoToken),
        [one] => one,
        _ => return Err(AccessFault::Malformed),
    };
    let text = token_text(header).ok_or(AccessFault::Malformed)?;
    let presented = Presented::parse(&text).ok_or(AccessFault::UnknownToken)?;
    // A file and the store may both know an id; the text decides. Both are compared always, so that time tells nothing.
    let matching = |known: Option<&'t TokenRecord>| {
        let matches = presented.matches(known.map_or(&TokenHash::NONE, |record| &record.sha256));
        known.filter(|_| matches)
    };
    let (of_file, of_store) = (matching(tenants.token(&presented.id)), matching(issued.tokens.get(&presented.id)));
    let record = of_file.or(of_store).ok_or(AccessFault::UnknownToken)?;
    if issued.is_revoked(&record.id) {
        return Err(AccessFault::Revoked);
    }
    if record.has_expired(now) {
        return Err(AccessFault::Expired);
    }
    Ok(record)
}

/// The token in an Authorization header: after `Bearer`, or the password of `Basic`.
fn token_text(header: &[u8]) -> Option<Vec<u8>> {
    if header.len() > AUTHORIZATION_BYTES_MAX {
        return None;
    }
    let space = header.iter().position(|byte| *byte == b' ')?;
    let (scheme, credential) = (&header[..space], header[space..].trim_ascii());
    if scheme.eq_ignore_ascii_case(b"bearer") {
        return Some(credential.to_vec());
    }
    if !scheme.eq_ignore_ascii_case(b"basic") {
        return None;
    }
    let decoded = BASIC.decode(credential).ok()?;
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    let password = &decoded[colon + 1..];
    (password.len() <= TOKEN_BYTES_MAX).then(|| password.to_vec())
}

/// Base64 with or without padding: clients differ.
const BASIC: GeneralPurpose =
    GeneralPurpose::new(&base64::alphabet::STANDARD, GeneralPurposeConfig::new().with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent));

/// The tenants that `X-Scope-OrgID` names; `None` without the header.
fn scope(values: &[&[u8]]) -> Result<Option<BTreeSet<TenantId>>, AccessFault> {
    let value = match values {
        [] => return Ok(None),
        [one] if one.len() <= SCOPE_BYTES_MAX => one,
        _ => return Err(AccessFault::Scope),
    };
    let text = std::str::from_utf8(value).map_err(|_| AccessFault::Scope)?;
    text.split('|').map(|id| TenantId::new(id).map_err(|_| AccessFault::Scope)).collect::<Result<_, _>>().map(Some)
}

/// An operator acts for no tenant, so a header that names one asks for more than it has.
fn operating(asked: Option<&BTreeSet<TenantId>>) -> Result<BTreeSet<TenantId>, AccessFault> {
    if asked.is_some() { Err(AccessFault::ForeignTenant) } else { Ok(BTreeSet::new()) }
}

/// The one tenant that an operator names.
fn deleting(tenants: &Tenants, asked: Option<BTreeSet<TenantId>>) -> Result<BTreeSet<TenantId>, AccessFault> {
    let asked = asked.ok_or(AccessFault::TenantNeeded)?;
    match asked.len() {
        1 if asked.iter().all(|tenant| tenants.serves(tenant)) => Ok(asked),
        1 => Err(AccessFault::ForeignTenant),
        _ => Err(AccessFault::OneTenantNeeded),
    }
}

/// The tenants that a request acts for: what is asked, if all of it is held.
fn narrowed(held: &BTreeSet<&TenantId>, asked: Option<BTreeSet<TenantId>>, need: Need) -> Result<BTreeSet<TenantId>, AccessFault> {
    let acting = match asked {
        Some(asked) if asked.iter().all(|tenant| held.contains(tenant)) => asked,
        Some(_) => return Err(AccessFault::ForeignTenant),
        None => match held.len() {
            0 => return Err(AccessFault::NoTenant),
            1 => held.iter().map(|tenant| (*tenant).clone()).collect(),
            _ => return Err(AccessFault::TenantNeeded),
        },
    };
    if need == Need::Push && acting.len() != 1 {
        return Err(AccessFault::OneTenantNeeded);
    }
    Ok(acting)
}

#[cfg(test)]
mod tests;
