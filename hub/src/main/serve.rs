//! Running, and checking what it would be run with.

use hub::{Addresses, HubFault, tenant_map};
use proto_boot::telemetry::log;
use proto_boot::{Mistake, Stop, settings};

use crate::given::Given;
use crate::{complain, failed, refuse, say};

/// Runs until a signal.
pub(crate) async fn serve(given: Given) -> Result<(), u8> {
    let (parsed, checked) = given.load()?;
    let world = given.world;
    let log = log::start(parsed.log, world.clock.clone()).map_err(failed)?;
    for remark in parsed.without_effect() {
        tracing::warn!(remark, "a setting has no effect");
    }
    let stop = Stop::new();
    stop.on_signals().map_err(|fault| failed(format!("signals cannot be handled: {fault}")))?;
    let Err(fault) = hub::serve(parsed, checked, log, world, stop, listening).await else { return Ok(()) };
    if let HubFault::Mistakes(mistakes) = &fault {
        return Err(refuse(mistakes));
    }
    complain(&fault);
    Err(fault.exit_code())
}

fn listening(addresses: &Addresses) {
    let text = |address: Option<std::net::SocketAddr>| address.map(|address| address.to_string()).unwrap_or_default();
    let event = serde_json::json!({
        "event": "listening",
        "http": addresses.http.to_string(),
        "admin": addresses.admin.to_string(),
        "quic": text(addresses.quic),
        "grpc": text(addresses.grpc),
    });
    say(&event.to_string());
}

/// Everything that can be known without opening a socket or the store.
pub(crate) async fn check_config(given: &Given) -> Result<(), u8> {
    let (parsed, checked) = given.load()?;
    let (world, name) = (&given.world, given.file.to_string_lossy());
    let mut mistakes = Vec::new();
    if let Err(found) = tenant_map::read(world, &parsed.tenants.file.value, &checked.limits) {
        let unreadable = found.iter().any(|mistake| mistake.text.starts_with("cannot read"));
        if unreadable {
            let at = settings::place(&parsed.tenants.file);
            mistakes.extend(found.into_iter().map(|mistake| Mistake::new(name.as_ref(), at, format!("{}: {}", mistake.file, mistake.text), mistake.fix)));
        } else {
            mistakes.extend(found);
        }
    }
    if let Err(fault) = certs::store::load_server(&hub::link_paths(&parsed), world).await {
        let at = settings::place(&parsed.link.cert_file);
        mistakes.push(Mistake::new(name.as_ref(), at, fault.to_string(), "give the files that tributary-certs issue hub writes"));
    }
    if let Err(fault) = hub_store::open_objects(&parsed.store.value, &parsed.s3, world) {
        let at = settings::place(&parsed.store);
        mistakes.push(Mistake::new(name.as_ref(), at, fault.to_string(), "write file:///path or s3://bucket/prefix with its s3 settings"));
    }
    if !mistakes.is_empty() {
        return Err(refuse(&mistakes));
    }
    say(&format!("{name}: ok"));
    Ok(())
}
