//! Every role with every form of header, against a map of two tenants and more: who is let in, as
//! whom, and that refusals tell nothing.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use proptest::prelude::*;
use proto_model::{Timestamp, TokenId};

use super::{AUTHORIZATION_BYTES_MAX, Access, Credentials, IssuedTokens, Need, SCOPE_BYTES_MAX, authenticate};
use crate::fault::AccessFault;
use crate::tenants::Tenants;
use crate::token::{Expiry, Role, Secret, TokenHash, TokenRecord};

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

fn secret(id: &str) -> Secret {
    let mut entropy = [0; 32];
    entropy[..id.len()].copy_from_slice(id.as_bytes());
    Secret::from_entropy(&TokenId::new(id).unwrap(), entropy)
}

/// Tenants acme, blue, cyan; a token of each role for acme, some for several; `late` has expired.
fn world() -> (Tenants, IssuedTokens) {
    let mut text = "version: 1\ntenants: {acme: {clusters: [alpha]}, blue: {clusters: [beta]}, cyan: {clusters: [gamma]}}\ntokens:\n".to_owned();
    for (id, role, tenants, expires) in [
        ("read-acme", "reader", "[acme]", ""),
        ("read-blue", "reader", "[blue]", ""),
        ("read-both", "reader", "[blue, acme]", ""),
        ("write-acme", "writer", "[acme]", ""),
        ("write-both", "writer", "[acme, blue]", ""),
        ("root", "operator", "[]", ""),
        ("late", "reader", "[acme]", ", expires: '2027-01-15T08:00:00Z'"),
        ("soon", "reader", "[acme]", ", expires: '2027-01-15T08:00:00.000000001Z'"),
        ("gone", "reader", "[acme]", ""),
    ] {
        text.push_str(&format!("- {{id: {id}, sha256: {}, role: {role}, tenants: {tenants}{expires}}}\n", secret(id).hash()));
    }
    let tenants = Tenants::parse("tenants.yaml", &text).unwrap();
    let record = |id: &str, role, tenants: &[&str]| TokenRecord {
        id: TokenId::new(id).unwrap(),
        sha256: secret(id).hash(),
        role,
        tenants: tenants.iter().map(|tenant| tenant.parse().unwrap()).collect(),
        expires: None,
    };
    let issued = IssuedTokens::new(
        [
            record("issued", Role::Reader, &["blue"]),
            record("erased", Role::Reader, &["nobody"]),
            record("partly", Role::Reader, &["nobody", "acme"]),
            record("withdrawn", Role::Reader, &["acme"]),
            record("broken", Role::Operator, &["acme"]),
        ],
        ["gone".parse().unwrap(), "withdrawn".parse().unwrap()],
    );
    (tenants, issued)
}

fn bearer(id: &str) -> String {
    format!("Bearer {}", secret(id).expose())
}

fn ask(authorization: &[&[u8]], scope: &[&[u8]], need: Need) -> Result<Access, AccessFault> {
    let (tenants, issued) = world();
    authenticate(&tenants, &issued, &Credentials { authorization, scope }, need, NOW)
}

/// The tenants granted, joined, or the fault.
fn granted(id: &str, scope: &[&str], need: Need) -> Result<String, AccessFault> {
    let scope: Vec<&[u8]> = scope.iter().map(|value| value.as_bytes()).collect();
    let access = ask(&[bearer(id).as_bytes()], &scope, need)?;
    assert_eq!(access.token.as_str(), id);
    Ok(access.grants.iter().map(|grant| grant.tenant().as_str()).collect::<Vec<_>>().join("|"))
}

#[test]
fn each_role_does_its_own_work_only() {
    for (id, role) in [("read-acme", Role::Reader), ("write-acme", Role::Writer), ("root", Role::Operator)] {
        for need in [Need::Read, Need::Push, Need::Operate] {
            let answer = ask(&[bearer(id).as_bytes()], &[], need);
            let fits = matches!((role, need), (Role::Reader, Need::Read) | (Role::Writer, Need::Push) | (Role::Operator, Need::Operate));
            match answer {
                Ok(access) => assert!(fits && access.role == role && access.grants.len() == usize::from(role != Role::Operator), "{id} {need:?}"),
                Err(fault) => assert!(!fits && fault == AccessFault::Role, "{id} {need:?} {fault:?}"),
            }
        }
    }
}

#[test]
fn the_header_only_narrows() {
    use AccessFault::{ForeignTenant, OneTenantNeeded, Role, Scope, TenantNeeded};
    let long = "a".repeat(SCOPE_BYTES_MAX + 1);
    let many = vec!["acme"; 300].join("|");
    // Columns: header values; reader of acme; reader of both; writer of acme; writer of both; operator.
    type Row<'a> = (&'a [&'a str], [Result<&'a str, AccessFault>; 5]);
    let table: &[Row<'_>] = &[
        (&[], [Ok("acme"), Err(TenantNeeded), Ok("acme"), Err(TenantNeeded), Ok("")]),
        (&["acme"], [Ok("acme"), Ok("acme"), Ok("acme"), Ok("acme"), Err(ForeignTenant)]),
        (&["blue"], [Err(ForeignTenant), Ok("blue"), Err(ForeignTenant), Ok("blue"), Err(ForeignTenant)]),
        (&["acme|blue"], [Err(ForeignTenant), Ok("acme|blue"), Err(ForeignTenant), Err(OneTenantNeeded), Err(ForeignTenant)]),
        (&["blue|acme"], [Err(ForeignTenant), Ok("acme|blue"), Err(ForeignTenant), Err(OneTenantNeeded), Err(ForeignTenant)]),
        (&["acme|acme"], [Ok("acme"), Ok("acme"), Ok("acme"), Ok("acme"), Err(ForeignTenant)]),
        (&["cyan"], [Err(ForeignTenant); 5]),
        (&["acme|cyan"], [Err(ForeignTenant); 5]),
        (&["nobody"], [Err(ForeignTenant); 5]),
        (&["fake"], [Err(ForeignTenant); 5]),
        (&["acme", "acme"], [Err(Scope); 5]),
        (&["acme", "blue"], [Err(Scope); 5]),
        (&[""], [Err(Scope); 5]),
        (&["|"], [Err(Scope); 5]),
        (&["acme|"], [Err(Scope); 5]),
        (&["|acme"], [Err(Scope); 5]),
        (&[".."], [Err(Scope); 5]),
        (&["."], [Err(Scope); 5]),
        (&["acme/../blue"], [Err(Scope); 5]),
        (&["%61cme"], [Err(Scope); 5]),
        (&["ACME"], [Err(Scope); 5]),
        (&[" acme"], [Err(Scope); 5]),
        (&["acme "], [Err(Scope); 5]),
        (&["acme,blue"], [Err(Scope); 5]),
        (&["acme\nblue"], [Err(Scope); 5]),
        (&["acme\0"], [Err(Scope); 5]),
        (&["\u{430}cme"], [Err(Scope); 5]),
        (&[".*"], [Err(Scope); 5]),
        (&[&long], [Err(Scope); 5]),
        (&[&many], [Err(Scope); 5]),
    ];
    for (header, expected) in table {
        let who = [("read-acme", Need::Read), ("read-both", Need::Read), ("write-acme", Need::Push), ("write-both", Need::Push), ("root", Need::Operate)];
        for ((id, need), expected) in who.into_iter().zip(expected) {
            assert_eq!(granted(id, header, need), expected.map(str::to_owned), "{id} {need:?} {header:?}");
            // Nothing that a header says makes up for a role.
            for other in [Need::Read, Need::Push, Need::Operate].into_iter().filter(|other| *other != need) {
                assert_eq!(granted(id, header, other), Err(Role), "{id} {other:?} {header:?}");
            }
        }
    }
}

#[test]
fn a_delete_is_an_operators_for_one_tenant_that_it_names_and_that_is_served() {
    for id in ["read-acme", "read-both", "write-acme", "write-both"] {
        for scope in [&[][..], &["acme"][..]] {
            assert_eq!(granted(id, scope, Need::Delete), Err(AccessFault::Role), "{id}");
        }
    }
    assert_eq!(granted("root", &["acme"], Need::Delete).as_deref(), Ok("acme"));
    assert_eq!(granted("root", &["blue"], Need::Delete).as_deref(), Ok("blue"));
    assert_eq!(granted("root", &[], Need::Delete), Err(AccessFault::TenantNeeded));
    assert_eq!(granted("root", &["nobody"], Need::Delete), Err(AccessFault::ForeignTenant));
    assert_eq!(granted("root", &["acme|blue"], Need::Delete), Err(AccessFault::OneTenantNeeded));
    assert_eq!(granted("root", &["acme", "acme"], Need::Delete), Err(AccessFault::Scope));
    // An erased tenant is nobody's: not to read, to push to, or to delete of.
    let map = format!(
        "version: 1\ntenants: {{acme: {{state: erased}}, blue: {{}}}}\ntokens:\n  - {{id: both, sha256: {}, role: reader, tenants: [acme, blue]}}\n  - {{id: top, sha256: {}, role: operator}}\n",
        TokenHash::of(secret("both").expose().as_bytes()),
        TokenHash::of(secret("top").expose().as_bytes())
    );
    let tenants = Tenants::parse("t", &map).unwrap();
    let ask = |id: &str, scope: &[&[u8]], need| {
        let header = bearer(id);
        let credentials = Credentials { authorization: &[header.as_bytes()], scope };
        authenticate(&tenants, &IssuedTokens::default(), &credentials, need, NOW)
            .map(|access| access.grants.iter().map(ToString::to_string).collect::<String>())
    };
    assert_eq!(ask("both", &[], Need::Read).as_deref(), Ok("blue"));
    assert_eq!(ask("both", &[b"acme"], Need::Read), Err(AccessFault::ForeignTenant));
    assert_eq!(ask("top", &[b"acme"], Need::Delete), Err(AccessFault::ForeignTenant));
    assert_eq!(ask("top", &[b"blue"], Need::Delete).as_deref(), Ok("blue"));
}

#[test]
fn refusals_of_a_status_are_equal() {
    use AccessFault::{Expired, ForeignTenant, Malformed, NoTenant, NoToken, OneTenantNeeded, Revoked, Role, Scope, TenantNeeded, UnknownToken};
    for fault in [NoToken, Malformed, UnknownToken, Revoked, Expired] {
        assert_eq!((fault.status(), fault.body()), (401, "unauthorized\n"), "{fault:?}");
    }
    for fault in [Role, NoTenant, TenantNeeded, OneTenantNeeded, Scope, ForeignTenant] {
        assert_eq!((fault.status(), fault.body()), (403, "forbidden\n"), "{fault:?}");
    }
    assert_eq!(granted("read-acme", &["blue"], Need::Read), granted("read-acme", &["nobody"], Need::Read), "foreign and unknown are one");
}

#[test]
fn only_a_good_token_gets_past_the_door() {
    let token = secret("read-acme");
    let token = token.expose();
    let forged = Secret::from_entropy(&"read-acme".parse().unwrap(), [9; 32]);
    let of_blue = secret("read-blue").expose().replace("read-blue", "read-acme");
    let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
    for (header, expected) in [
        (bearer("read-acme"), None),
        (format!("bearer {token}"), None),
        (format!("BEARER  {token} "), None),
        (basic(&format!("grafana:{token}")), None),
        (basic(&format!(":{token}")), None),
        (format!("basic {}", STANDARD_NO_PAD.encode(format!("x:{token}"))), None),
        (basic(&format!("{token}:")), Some(AccessFault::UnknownToken)),
        (basic(token), Some(AccessFault::Malformed)),
        (basic(&format!("a:b:{token}")), Some(AccessFault::UnknownToken)),
        (basic(&format!("u:{}", "x".repeat(1000))), Some(AccessFault::Malformed)),
        ("Basic !!!".to_owned(), Some(AccessFault::Malformed)),
        ("Basic".to_owned(), Some(AccessFault::Malformed)),
        ("Bearer".to_owned(), Some(AccessFault::Malformed)),
        (String::new(), Some(AccessFault::Malformed)),
        (token.to_owned(), Some(AccessFault::Malformed)),
        (format!("Token {token}"), Some(AccessFault::Malformed)),
        (format!("Bearer\t{token}"), Some(AccessFault::Malformed)),
        ("Bearer ".to_owned(), Some(AccessFault::UnknownToken)),
        ("Bearer acme".to_owned(), Some(AccessFault::UnknownToken)),
        (format!("Bearer {}", &token[..token.len() - 1]), Some(AccessFault::UnknownToken)),
        (format!("Bearer {token}a"), Some(AccessFault::UnknownToken)),
        (format!("Bearer {}", token.to_uppercase()), Some(AccessFault::UnknownToken)),
        (format!("Bearer {}", forged.expose()), Some(AccessFault::UnknownToken)),
        (format!("Bearer {of_blue}"), Some(AccessFault::UnknownToken)),
        (format!("Bearer {}", secret("never-made").expose()), Some(AccessFault::UnknownToken)),
        (format!("Bearer {}", secret("broken").expose()), Some(AccessFault::UnknownToken)),
        (format!("Bearer {}", secret("read-acme").hash()), Some(AccessFault::UnknownToken)),
        (format!("Bearer {}", "x".repeat(AUTHORIZATION_BYTES_MAX)), Some(AccessFault::Malformed)),
    ] {
        let answer = ask(&[header.as_bytes()], &[], Need::Read);
        assert_eq!(answer.as_ref().err().copied(), expected, "{header:.100}");
    }
    assert_eq!(ask(&[], &[], Need::Read).unwrap_err(), AccessFault::NoToken);
    assert_eq!(ask(&[], &[b"acme"], Need::Read).unwrap_err(), AccessFault::NoToken, "a header alone opens nothing");
    let good = bearer("read-acme");
    assert_eq!(ask(&[good.as_bytes(), good.as_bytes()], &[], Need::Read).unwrap_err(), AccessFault::Malformed, "one header, not two");
    assert_eq!(ask(&[b"Bearer \xff\xfe"], &[], Need::Read).unwrap_err(), AccessFault::UnknownToken);
}

#[test]
fn tokens_end() {
    assert_eq!(granted("late", &[], Need::Read), Err(AccessFault::Expired), "void from the moment of its expiry");
    assert_eq!(granted("soon", &[], Need::Read).as_deref(), Ok("acme"));
    assert_eq!(granted("gone", &[], Need::Read), Err(AccessFault::Revoked), "a token of the file can be revoked in the store");
    assert_eq!(granted("withdrawn", &[], Need::Read), Err(AccessFault::Revoked));
    assert_eq!(granted("issued", &[], Need::Read).as_deref(), Ok("blue"));
}

#[test]
fn a_tenant_that_is_gone_is_nobodys() {
    assert_eq!(granted("erased", &[], Need::Read), Err(AccessFault::NoTenant));
    assert_eq!(granted("erased", &["nobody"], Need::Read), Err(AccessFault::ForeignTenant));
    assert_eq!(granted("partly", &[], Need::Read).as_deref(), Ok("acme"));
    assert_eq!(granted("partly", &["nobody|acme"], Need::Read), Err(AccessFault::ForeignTenant));
}

#[test]
fn an_id_of_file_and_store_is_told_by_its_text() {
    let (tenants, _) = world();
    let other = Secret::from_entropy(&"read-acme".parse().unwrap(), [5; 32]);
    let issued = IssuedTokens::new(
        [TokenRecord {
            id: "read-acme".parse().unwrap(),
            sha256: other.hash(),
            role: Role::Reader,
            tenants: vec!["blue".parse().unwrap()],
            expires: Some(Expiry(Timestamp::MAX)),
        }],
        [],
    );
    let asked = |header: &str| {
        let credentials = Credentials { authorization: &[header.as_bytes()], scope: &[] };
        authenticate(&tenants, &issued, &credentials, Need::Read, NOW).map(|access| access.grants[0].tenant().to_string())
    };
    assert_eq!(asked(&bearer("read-acme")).as_deref(), Ok("acme"));
    assert_eq!(asked(&format!("Bearer {}", other.expose())).as_deref(), Ok("blue"));
}

proptest! {
    /// Whatever the header holds, a token acts for no tenant that it does not hold.
    #[test]
    fn no_header_widens(header in prop_oneof!["[a-z|.%/ -]{0,40}", "(acme|blue|cyan|nobody)(\\|(acme|blue|cyan)){0,3}", "\\PC{0,20}"], twice: bool) {
        let values: Vec<&str> = if twice { vec![&header, &header] } else { vec![&header] };
        for (id, held, need) in [
            ("read-acme", vec!["acme"], Need::Read),
            ("read-both", vec!["acme", "blue"], Need::Read),
            ("write-acme", vec!["acme"], Need::Push),
            ("write-both", vec!["acme", "blue"], Need::Push),
        ] {
            if let Ok(tenants) = granted(id, &values, need) {
                prop_assert!(!twice && tenants.split('|').all(|tenant| held.contains(&tenant)), "{id} {header:?} {tenants}");
                prop_assert!(need == Need::Read || !tenants.contains('|'));
            }
        }
        prop_assert!(granted("root", &values, Need::Operate).is_err());
    }

    #[test]
    fn no_bytes_open_the_door(header in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert_eq!(ask(&[&header], &[], Need::Read).unwrap_err().status(), 401);
    }
}
