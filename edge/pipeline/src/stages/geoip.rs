//! `geoip`: labels of the place or the network that a MaxMind database knows of an address.
//!
//! The source is an extracted value with the address; one that is no address, or not in the database, changes nothing. Parts:
//! [`GeoIp`], [`Database`] (the bytes of a database, as the caller read them), the records of the databases. Names are
//! English. Must not do: open files.

use std::fmt;
use std::net::IpAddr;
use std::str;
use std::sync::Arc;

use maxminddb::Reader;
use maxminddb::geoip2::{Asn, City, Country};

use crate::compile::Compiler;
use crate::draft::{Draft, SlotId};
use crate::fault::Place;
use crate::label_sets::Edge;
use crate::settings::{GeoIpSettings, place};
use crate::stage::Flow;
use crate::state::{Reader as Failing, State};

/// The bytes of a database, or why they could not be read.
pub type Database = Result<Arc<[u8]>, String>;

/// Labels of a place, by number of their edge.
const PLACE: [&str; 11] = [
    "geoip_city_name",
    "geoip_country_name",
    "geoip_continent_name",
    "geoip_continent_code",
    "geoip_location_latitude",
    "geoip_location_longitude",
    "geoip_postal_code",
    "geoip_timezone",
    "geoip_subdivision_name",
    "geoip_subdivision_code",
    "geoip_country_code",
];
const NETWORK: [&str; 2] = ["geoip_autonomous_system_number", "geoip_autonomous_system_organization"];

/// The stage.
pub(crate) struct GeoIp {
    reader: Reader<Arc<[u8]>>,
    source: SlotId,
    kind: Kind,
    edges: Vec<Edge>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    City,
    Asn,
    Country,
}

impl GeoIp {
    pub(crate) fn compile(compiler: &mut Compiler<'_>, at: Place, settings: &GeoIpSettings) -> Option<Self> {
        let source = compiler.required_source(at, "geoip", settings.source.as_ref());
        let kind = match settings.db_type.as_ref().map(|text| (place(text), text.value.as_str())) {
            Some((_, "city")) => Some(Kind::City),
            Some((_, "asn")) => Some(Kind::Asn),
            Some((_, "country")) => Some(Kind::Country),
            found => {
                let (at, word) = found.unwrap_or((at, ""));
                compiler.mistake(at, format!("geoip: db_type {word:?} is unknown"), "write city, asn or country");
                None
            }
        };
        let Some(path) = settings.db.as_ref().filter(|path| !path.value.is_empty()) else {
            compiler.mistake(at, "geoip: db is missing", "give the path of a MaxMind database (.mmdb)");
            return None;
        };
        let opened = match compiler.database(&path.value) {
            None => Err("it was not read".to_owned()),
            Some(Err(why)) => Err(why.clone()),
            Some(Ok(bytes)) => Reader::from_source(Arc::clone(bytes)).map_err(|fault| fault.to_string()),
        };
        let reader = opened.map_err(|why| {
            compiler.mistake(
                place(path),
                format!("geoip: database {:?} cannot be used: {why}", path.value),
                "give the path of a MaxMind database (.mmdb) that the edge may read",
            );
        });
        let names = if kind? == Kind::Asn { NETWORK.len() } else { PLACE.len() };
        Some(Self { reader: reader.ok()?, source: source?, kind: kind?, edges: (0..names).map(|_| compiler.edge()).collect() })
    }

    pub(crate) fn apply(&self, state: &mut State, draft: &mut Draft<'_>) -> Flow {
        let Some(text) = draft.parts.slots.text(self.source) else { return Flow::Next };
        let address = str::from_utf8(text).ok().and_then(|text| text.parse::<IpAddr>().ok());
        let Some(Ok(values)) = address.map(|address| self.values(address)) else {
            state.tally.error(Failing::GeoIp);
            return Flow::Next;
        };
        let names: &[&str] = if self.kind == Kind::Asn { &NETWORK } else { &PLACE };
        for ((name, edge), value) in names.iter().zip(&self.edges).zip(values) {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                draft.labels = state.sets.with(draft.labels, *edge, name, value.as_bytes());
            }
        }
        Flow::Next
    }

    /// What the database knows of an address, in the order of the labels.
    fn values(&self, address: IpAddr) -> Result<Vec<Option<String>>, maxminddb::MaxMindDbError> {
        let found = self.reader.lookup(address)?;
        let text = |text: Option<&str>| text.map(str::to_owned);
        Ok(match self.kind {
            Kind::Asn => found.decode::<Asn<'_>>()?.map_or_else(Vec::new, |asn| {
                let number = asn.autonomous_system_number.filter(|number| *number != 0).map(|number| number.to_string());
                vec![number, text(asn.autonomous_system_organization)]
            }),
            Kind::City => found.decode::<City<'_>>()?.map_or_else(Vec::new, |city| {
                let part = city.subdivisions.last();
                let there = city.location.latitude.zip(city.location.longitude).filter(|(latitude, longitude)| *latitude != 0.0 || *longitude != 0.0);
                vec![
                    text(city.city.names.english),
                    text(city.country.names.english),
                    text(city.continent.names.english),
                    text(city.continent.code),
                    there.map(|(latitude, _)| proto_extract::gofloat::format_f(latitude)),
                    there.map(|(_, longitude)| proto_extract::gofloat::format_f(longitude)),
                    text(city.postal.code),
                    text(city.location.time_zone),
                    text(part.and_then(|part| part.names.english)),
                    text(part.and_then(|part| part.iso_code)),
                    None,
                ]
            }),
            Kind::Country => found.decode::<Country<'_>>()?.map_or_else(Vec::new, |country| {
                let mut values = vec![None; PLACE.len()];
                values[1] = text(country.country.names.english);
                values[2] = text(country.continent.names.english);
                values[3] = text(country.continent.code);
                values[10] = text(country.country.iso_code);
                values
            }),
        })
    }
}

impl fmt::Debug for GeoIp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GeoIp").field("kind", &self.kind).field("source", &self.source).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
