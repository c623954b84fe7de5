//! The tenant map: what is read, and every mistake with its place, all together.

use proto_boot::{Bytes, Span};
use proto_model::{ClusterId, TenantId};

use super::{Replacement, Tenants};

const HASH: &str = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881";
const OTHER_HASH: &str = "c9a2ade8127d3b9c84be0bc8b7ba30dd3ff8eb6a12fb35b03ab05caad5ba3a0b";

fn mistakes(text: &str) -> Vec<String> {
    match Tenants::parse("tenants.yaml", text) {
        Ok(_) => Vec::new(),
        Err(mistakes) => mistakes.iter().map(|m| m.to_string().replacen("tenants.yaml:", "", 1)).collect(),
    }
}

#[test]
fn a_full_file_is_read() {
    let text = format!(
        "version: 7
tenants:
  acme: {{clusters: [alpha, alpha-2], retention: 30d, limits: {{max_line_size: 1MB, max_query_parallelism: 8}}}}
  blue: {{clusters: [beta]}}
  idle:
tokens:
- {{id: grafana-acme, sha256: {HASH}, role: reader, tenants: [acme, blue], expires: '2030-01-31T00:00:00Z'}}
- {{id: root, sha256: {OTHER_HASH}, role: operator}}
"
    );
    let tenants = Tenants::parse("tenants.yaml", &text).unwrap();
    let id = |id: &str| TenantId::new(id).unwrap();
    assert_eq!(tenants.version(), 7);
    assert_eq!(tenants.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(), ["acme", "blue", "idle"]);
    let acme = tenants.tenant(&id("acme")).unwrap();
    assert_eq!((acme.retention, acme.limits.max_line_size, acme.clusters.len()), (Span::from_secs(30 * 86_400), Bytes(1 << 20), 2));
    assert!(tenants.tenant(&id("blue")).unwrap().retention.is_zero() && tenants.tenant(&id("none")).is_none());
    assert_eq!(tenants.tenant_of(&ClusterId::new("beta").unwrap()), Some(&id("blue")));
    assert_eq!(
        tenants.tokens().map(|token| (token.id.as_str(), token.role.as_str(), token.tenants.len())).collect::<Vec<_>>(),
        [("grafana-acme", "reader", 2), ("root", "operator", 0)]
    );
    let ignored: Vec<String> = tenants.ignored().map(|(tenant, ignored)| format!("{tenant}: {ignored}")).collect();
    assert_eq!(ignored, ["acme: limit max_query_parallelism at line 3 changes nothing: queries are not split over queriers or kept in a results cache here"]);
}

#[test]
fn json_is_read_too() {
    let tenants =
        Tenants::parse("body", r#"{"version": 1, "tenants": {"acme": {"clusters": ["alpha"], "retention": "30d", "limits": {"max_query_series": 7}}}}"#)
            .unwrap();
    assert_eq!(tenants.limits(&TenantId::new("acme").unwrap()).max_query_series, 7);
}

#[test]
fn each_mistake_has_its_place_and_fix() {
    let token = |rest: &str| format!("version: 1\ntenants: {{acme: {{}}, blue: {{}}}}\ntokens:\n- {{id: a, sha256: {HASH}, {rest}}}\n");
    for (text, expected) in [
        ("tenants: {}\n".to_owned(), "1:1: error: key \"version\" is missing; fix: write version: 1 and raise it with each edit"),
        ("version: 0\n".to_owned(), "1:10: error: the version is no whole number above 0; fix: write version: 1 and raise it with each edit"),
        ("version: 1.5\n".to_owned(), "1:10: error: the version is no whole number above 0; fix: write version: 1 and raise it with each edit"),
        ("version: [1]\n".to_owned(), "1:10: error: the version is no whole number above 0; fix: write version: 1 and raise it with each edit"),
        ("version: 1\ntenant: {}\n".to_owned(), "2:1: error: unknown key \"tenant\"; fix: did you mean \"tenants\""),
        ("version: 1\nversion: 2\n".to_owned(), "2:1: error: duplicate key \"version\", first given at line 1; fix: keep one of the two"),
        ("version: 1\ntenants:\n  acme: {}\n  acme: {}\n".to_owned(), "4:3: error: duplicate key \"acme\", first given at line 3; fix: keep one of the two"),
        ("version: 1\ntenants: {acme: {cluster: [a]}}\n".to_owned(), "2:18: error: unknown key \"cluster\"; fix: did you mean \"clusters\""),
        ("version: 1\ntenants: {acme: {clusters: a}}\n".to_owned(), "2:28: error: expected a list, found text; fix: write a list"),
        (
            "version: 1\ntenants: {acme: {retention: 30}}\n".to_owned(),
            "2:29: error: \"30\" is no length of time: a unit is missing; fix: write it like 500ms, 1h30m or 30d",
        ),
        ("version: 1\ntenants: [acme]\n".to_owned(), "2:10: error: expected a map of tenants by id, found a list; fix: write a map of tenants by id"),
        ("version: 1\ntenants: {acme: {clusters: [a, a]}}\n".to_owned(), "2:32: error: cluster \"a\" is listed twice; fix: remove one of the two"),
        (
            "version: 1\ntenants: {acme: {clusters: [a]}, blue: {clusters: [b, a]}}\n".to_owned(),
            "2:55: error: cluster \"a\" is in tenant \"acme\" already; fix: keep it in one of the two",
        ),
        (
            "version: 1\ntenants: {acme: {limits: {max_line_sizes: 1}}}\n".to_owned(),
            "2:27: error: unknown key \"max_line_sizes\"; fix: did you mean \"max_line_size\"",
        ),
        (
            "version: 1\ntenants: {acme: {limits: {retention_period: 30d}}}\n".to_owned(),
            "2:27: error: limit \"retention_period\" is not supported: retention stands beside the clusters of a tenant; fix: write retention: 30d below the tenant's name",
        ),
        (
            "version: 1\ntenants: {acme: {limits: {ingestion_rate_mb: 0}}}\n".to_owned(),
            "2:46: error: the limit is not above 0; fix: write a number of megabytes like 4 or 0.5",
        ),
        (token("role: reader"), "4:8: error: token \"a\": the token has no tenants; fix: name at least one tenant"),
        (token("role: writer, tenants: []"), "4:8: error: token \"a\": the token has no tenants; fix: name at least one tenant"),
        (
            token("role: operator, tenants: [acme]"),
            "4:8: error: token \"a\": an operator's token has tenants; fix: remove tenants, or make it a reader or writer",
        ),
        (token("role: admin"), "4:91: error: unknown value \"admin\"; fix: known here are reader, writer, operator"),
        (token("tenants: [acme]"), "4:3: error: key \"role\" is missing; fix: add role: with its value"),
        (
            token("role: reader, tenants: [acme, nobody]"),
            "4:115: error: token \"a\" names tenant \"nobody\", which does not exist; fix: add the tenant, or take it out of the token",
        ),
        (token("role: reader, tenants: [acme, acme]"), "4:115: error: tenant \"acme\" is listed twice; fix: remove one of the two"),
        (
            token("role: reader, tenants: [acme], expires: tomorrow"),
            "4:125: error: the expiry is no time of the years 1678 to 2261; fix: write it like 2030-01-31T00:00:00Z",
        ),
        (
            token("role: reader, tenants: [acme]").replace(HASH, "trib_a_secret"),
            "4:19: error: the hash is not 64 lower case hex digits; fix: write the sha256 of the whole token",
        ),
        (
            format!("{}- {{id: a, sha256: {OTHER_HASH}, role: operator}}\n", token("role: operator")),
            "5:8: error: token id \"a\" is given twice; fix: give each token an id of its own",
        ),
        (
            format!("{}- {{id: b, sha256: {HASH}, role: operator}}\n", token("role: operator")),
            "5:19: error: token \"b\" has the hash of token \"a\"; fix: give each token the hash of its own text",
        ),
    ] {
        assert_eq!(mistakes(&text), [expected], "{text}");
    }
}

#[test]
fn ids_outside_of_the_grammar_are_refused() {
    let ids = [
        "\".\"",
        "\"..\"",
        "a/b",
        "\"%2e\"",
        "\"%252e\"",
        "\"a\\0b\"",
        "CON",
        "\u{430}cme",
        &"a".repeat(64),
        &"a".repeat(151),
        "Acme",
        "-a",
        "a_b",
        "a.b",
        "\"\"",
        "\"a b\"",
        "\"a\\n\"",
    ];
    for id in ids {
        for text in [
            format!("version: 1\ntenants: {{? {id} : {{}}}}\n"),
            format!("version: 1\ntenants: {{acme: {{clusters: [{id}]}}}}\n"),
            format!("version: 1\ntenants: {{acme: {{}}}}\ntokens: [{{id: {id}, sha256: {HASH}, role: operator}}]\n"),
        ] {
            let told = mistakes(&text);
            assert!(
                told.len() == 1
                    && told[0].contains(" is not allowed: ")
                    && told[0].ends_with("; fix: use 1 to 63 of a-z, 0-9 and -, starting with a letter or digit"),
                "{text} {told:?}"
            );
        }
    }
    assert!(mistakes(&format!("version: 1\ntenants: {{{}: {{clusters: [0, a-]}}}}\n", "a".repeat(63))).is_empty());
}

#[test]
fn all_mistakes_are_told_together_in_order() {
    let text = format!(
        "tenants:
  Acme: {{}}
  blue: {{clusters: [beta, beta], limits: {{nonsense: 1, max_query_series: x}}}}
  cyan: {{clusters: [beta], retention: soon}}
tokens:
- {{id: a, sha256: 00, role: reader, tenants: [blue]}}
- {{id: b, sha256: {HASH}, role: operator, tenants: [none]}}
extra: 1
"
    );
    let places: Vec<String> = mistakes(&text).iter().map(|told| told.split(": error").next().unwrap().to_owned()).collect();
    assert_eq!(places, ["1:1", "2:3", "3:27", "3:43", "3:74", "4:21", "4:39", "6:19", "7:8", "7:111", "8:1"]);
}

#[test]
fn a_new_map_must_raise_the_version() {
    let map = |version: u64, cluster: &str| Tenants::parse("t", &format!("version: {version}\ntenants: {{acme: {{clusters: [{cluster}]}}}}\n")).unwrap();
    let present = map(5, "alpha");
    for (new, expected) in [
        (map(5, "alpha"), Replacement::Same),
        (map(5, "beta"), Replacement::Changed),
        (map(6, "beta"), Replacement::Newer),
        (map(4, "alpha"), Replacement::Older),
    ] {
        assert_eq!(present.replaced_by(&new), expected);
    }
    let commented = Tenants::parse("t", "# note\nversion: 5\ntenants:\n  acme:\n    clusters: [alpha]\n").unwrap();
    assert_eq!(present.replaced_by(&commented), Replacement::Same, "the content counts, not the text");
}

#[test]
fn an_erased_tenant_stays_erased_and_has_no_clusters() {
    let map = |version: u64, tenants: &str| Tenants::parse("t", &format!("version: {version}\ntenants: {{{tenants}}}\n"));
    let present = map(2, "acme: {state: erased}, blue: {clusters: [beta], state: active}").unwrap();
    let id = |name: &str| TenantId::new(name).unwrap();
    assert_eq!(present.erased().cloned().collect::<Vec<_>>(), [id("acme")]);
    assert_eq!((present.serves(&id("acme")), present.serves(&id("blue")), present.serves(&id("nobody"))), (false, true, false));
    for (new, expected) in [
        ("acme: {state: erased}, blue: {}", Replacement::Newer),
        ("acme: {state: erased}, blue: {state: erased}", Replacement::Newer),
        ("acme: {clusters: [alpha]}, blue: {}", Replacement::Revives),
        ("acme: {state: active}, blue: {}", Replacement::Revives),
        ("blue: {clusters: [beta]}", Replacement::Revives),
    ] {
        assert_eq!(present.replaced_by(&map(3, new).unwrap()), expected, "{new}");
    }
    let told = map(1, "acme: {state: erased, clusters: [alpha]}").unwrap_err();
    assert!(told[0].to_string().contains("tenant \"acme\" is erased but cluster \"alpha\" writes to it"), "{}", told[0]);
    map(1, "acme: {state: gone}").unwrap_err();
}

#[test]
fn a_large_map_is_read() {
    let mut text = "version: 1\ntenants:\n".to_owned();
    for i in 0..3_000 {
        text.push_str(&format!("  t{i}: {{clusters: [c{i}]}}\n"));
    }
    text.push_str("tokens:\n");
    for i in 0..3_000 {
        text.push_str(&format!("- {{id: r{i}, sha256: {:064x}, role: reader, tenants: [t{i}]}}\n", i + 1));
    }
    let tenants = Tenants::parse("t", &text).unwrap();
    assert!(tenants.iter().len() == 3_000 && tenants.tokens().len() == 3_000);
}
