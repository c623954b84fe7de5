use super::*;
use crate::settings::pulled::DockerSdSettings;

fn http(more: &str) -> HttpSettings {
    let (parsed, mistakes) = proto_boot::settings::parse_all::<DockerSdSettings>("f", &format!("host: x\n{more}"));
    assert!(mistakes.is_empty(), "{mistakes:?}");
    parsed.unwrap().http()
}

#[test]
fn hosts_are_sockets_or_urls() {
    let plain = http("");
    assert_eq!(Endpoint::parse("unix:///var/run/docker.sock", &plain), Ok(Endpoint::Socket("/var/run/docker.sock".into())));
    assert_eq!(Endpoint::parse("tcp://a:2375", &plain), Ok(Endpoint::Url("http://a:2375".into())));
    assert_eq!(Endpoint::parse("tcp://a:2376/", &http("tls_config: {ca_file: /ca}")), Ok(Endpoint::Url("https://a:2376".into())));
    assert_eq!(Endpoint::parse("https://a:2376", &plain), Ok(Endpoint::Url("https://a:2376".into())));
    for bad in ["docker.sock", "unix://docker.sock", "tcp://", "npipe:////./pipe/docker_engine", "ssh://a"] {
        assert!(Endpoint::parse(bad, &plain).is_err(), "{bad}");
    }
}

#[test]
fn times_and_filters_are_written_as_docker_reads_them() {
    assert_eq!(seconds(Timestamp(1_795_405_469_000_000_007)), "1795405469.000000007");
    assert_eq!(seconds(Timestamp(-5)), "0.000000000");
    assert_eq!(encoded(r#"{"label":["a=b"]}"#), "%7B%22label%22%3A%5B%22a%3Db%22%5D%7D");
    assert_eq!((pair("1.41"), pair("1"), pair("x.y")), (Some((1, 41)), None, None));
}
