//! `consul_sd_configs` and `consulagent_sd_configs`: targets from Consul's catalogue, or from one agent's own services.
//!
//! Parts: [`ConsulSd`] (which server and services), [`run`] (who watches which service), `Asker` (the questions), `labels` (pure). The
//! catalogue is asked with blocking queries: an answer comes when something changed; an agent is asked every `refresh_interval`. Promises: a
//! service that is not answered for keeps its targets; one that is gone takes them with it. Limits: [`SERVICES_MAX`] services,
//! `groups::LABEL_SETS_MAX` targets. Must not do: relabel.

mod labels;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proto_seam::World;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use super::feeds::FeedMetrics;
use super::groups::{FeedSender, TargetGroup, publish};
use crate::http::answer::{body, body_of_any_status, json};
use crate::http::{Client, encoded};
use crate::settings::http::{HttpSettings, Secret};
use labels::{Instance, Of, Own, OwnInstance, Service, of_agent, of_catalogue, wanted};

/// Services that are watched: each has a request that waits.
pub const SERVICES_MAX: usize = 2_000;
/// Largest answer.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// A blocking query waits so long for a change, and Consul adds a sixteenth.
const WAIT: Duration = Duration::from_secs(120);
/// For an answer beyond that.
const WITHIN: Duration = Duration::from_secs(30);
/// After a failure.
const PAUSE: Duration = Duration::from_secs(15);
/// News of watchers that wait to be told.
const NEWS_MAX: usize = 64;

/// Which server, and what is asked for.
#[derive(Debug, Clone)]
pub struct ConsulSd {
    /// `consulagent_sd_configs`: only this agent's own services.
    pub is_agent: bool,
    /// `http://HOST:PORT`, with the prefix of all paths.
    pub url: String,
    /// How.
    pub http: HttpSettings,
    /// Access token.
    pub token: Secret,
    /// Of questions, as `&name=value`: data centre, namespace, partition, staleness.
    pub query: String,
    /// The same: node metadata.
    pub node_meta: String,
    /// Of the question for the list of services: Consul's own filter.
    pub filter: String,
    /// As told; empty = the agent's own.
    pub datacenter: String,
    /// Between tags.
    pub tag_separator: String,
    /// Between two questions.
    pub refresh: Duration,
    /// Only these; empty = all.
    pub services: Vec<String>,
    /// Only services with all of these.
    pub tags: Vec<String>,
}

/// What a watcher has to say.
enum News {
    /// The services there are.
    Services(Vec<String>),
    /// The targets of one.
    Targets(String, TargetGroup),
    /// A question for a service, or for their list, failed.
    Failed(Option<String>, String),
}

struct Asker {
    settings: Arc<ConsulSd>,
    client: Client,
    datacenter: String,
}

impl Asker {
    /// Asks; gives the answer and its index. With an `index` the answer comes when there is a newer one.
    async fn ask<T: DeserializeOwned>(&self, path: &str, query: &str, index: u64) -> Result<(T, u64), String> {
        let blocking = if index > 0 { format!("&index={index}&wait={}s", WAIT.as_secs()) } else { String::new() };
        let token = self.settings.token.expose();
        let headers: Vec<_> = Some(("x-consul-token", token.to_owned())).filter(|_| !token.is_empty()).into_iter().collect();
        let within = if index > 0 { WAIT + WAIT / 16 + WITHIN } else { WITHIN };
        let answer =
            self.client.get(&format!("{}{path}?{}", self.settings.url, format!("{query}{blocking}").trim_start_matches('&')), &headers, within).await?;
        let newest = answer.headers().get("x-consul-index").and_then(|index| index.to_str().ok()?.parse().ok()).unwrap_or(0);
        // An index that went back is of a server that began anew.
        let newest = if newest < index { 0 } else { newest };
        Ok((json(answer, ANSWER_BYTES_MAX, WITHIN).await?, newest))
    }

    /// The services that are wanted.
    async fn services(&self, index: u64) -> Result<(Vec<String>, u64), String> {
        let ConsulSd { services, tags, is_agent, .. } = &*self.settings;
        if *is_agent {
            let (found, _) = self.ask::<BTreeMap<String, Service>>("/v1/agent/services", "", 0).await?;
            let mut names: Vec<String> = found
                .into_values()
                .filter(|found| wanted(&found.service, found.tags.as_deref().unwrap_or_default(), services, tags))
                .map(|found| found.service)
                .collect();
            names.sort_unstable();
            names.dedup();
            return Ok((names, 0));
        }
        let query = format!("{}{}{}", self.settings.query, self.settings.node_meta, self.settings.filter);
        let (found, index) = self.ask::<BTreeMap<String, Option<Vec<String>>>>("/v1/catalog/services", &query, index).await?;
        let names = found.into_iter().filter(|(name, own)| wanted(name, own.as_deref().unwrap_or_default(), services, tags)).map(|(name, _)| name);
        Ok((names.collect(), index))
    }

    /// The targets of a service.
    async fn targets(&self, name: &str, index: u64) -> Result<(TargetGroup, u64), String> {
        let of = Of { service: name, datacenter: &self.datacenter, separator: &self.settings.tag_separator };
        let group = |labels| TargetGroup { source: name.to_owned(), labels };
        if self.settings.is_agent {
            let path = format!("/v1/agent/health/service/name/{}", encoded(name));
            let (found, own) = tokio::try_join!(self.health::<Vec<OwnInstance>>(&path), self.ask::<Own>("/v1/agent/self", "", 0))?;
            return Ok((group(of_agent(&found, &own.0, of)), 0));
        }
        let tags: String = self.settings.tags.iter().map(|tag| format!("&tag={}", encoded(tag))).collect();
        let path = format!("/v1/health/service/{}", encoded(name));
        let query = format!("{}{}{tags}", self.settings.query, self.settings.node_meta);
        let (found, index) = self.ask::<Vec<Instance>>(&path, &query, index).await?;
        Ok((group(of_catalogue(&found, of)), index))
    }

    /// An agent tells by the status how its services are: 429 is a warning, 503 critical, 404 that there is none.
    async fn health<T: DeserializeOwned>(&self, path: &str) -> Result<T, String> {
        let token = self.settings.token.expose();
        let headers: Vec<_> = Some(("x-consul-token", token.to_owned())).filter(|_| !token.is_empty()).into_iter().collect();
        let answer = self.client.get(&format!("{}{path}", self.settings.url), &headers, WITHIN).await?;
        let bytes = match answer.status().as_u16() {
            404 => b"[]".to_vec(),
            429 | 503 => body_of_any_status(answer, ANSWER_BYTES_MAX, WITHIN).await?,
            _ => body(answer, ANSWER_BYTES_MAX, WITHIN).await?,
        };
        serde_json::from_slice(&bytes).map_err(|fault| format!("the answer is not understood: {fault}"))
    }
}

/// Keeps `sender` up to date until `stop`.
pub async fn run(settings: Arc<ConsulSd>, sender: FeedSender, world: World, metrics: FeedMetrics, stop: CancellationToken) {
    let url = settings.url.clone();
    let kind = if settings.is_agent { "consulagent" } else { "consul" };
    let mut asker = Asker { client: Client::new(settings.http.clone(), None, &world), datacenter: settings.datacenter.clone(), settings };
    while asker.datacenter.is_empty() {
        let told = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            told = asker.ask::<Own>("/v1/agent/self", "", 0) => told,
        };
        let why = match told {
            Ok((own, _)) if !own.config.datacenter.is_empty() => {
                asker.datacenter = own.config.datacenter;
                continue;
            }
            Ok(_) => "the agent does not say its data centre; write datacenter".to_owned(),
            Err(why) => why,
        };
        metrics.failed(kind, &url, &why, &sender);
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(PAUSE.min(asker.settings.refresh)) => {}
        }
    }
    let (news, told) = mpsc::channel(NEWS_MAX);
    let mut watched = Watched { kind, url, asker: Arc::new(asker), news, tasks: JoinSet::new(), services: BTreeMap::new(), listed: None };
    tokio::select! {
        biased;
        () = stop.cancelled() => {}
        () = watched.run(told, &sender, &metrics) => {}
    }
}

/// All services that are watched.
struct Watched {
    kind: &'static str,
    url: String,
    asker: Arc<Asker>,
    news: mpsc::Sender<News>,
    tasks: JoinSet<()>,
    services: BTreeMap<String, One>,
    /// Whether the list of services is known; of services that the settings name it is.
    listed: Option<String>,
}

struct One {
    task: AbortHandle,
    targets: Option<TargetGroup>,
    /// Why it is not known as it is now.
    trouble: Option<String>,
}

impl Watched {
    async fn run(&mut self, mut told: mpsc::Receiver<News>, sender: &FeedSender, metrics: &FeedMetrics) {
        let settings = Arc::clone(&self.asker.settings);
        if settings.services.is_empty() || !settings.tags.is_empty() {
            self.tasks.spawn(list(Arc::clone(&self.asker), self.news.clone()));
        } else {
            self.watch(settings.services.clone());
        }
        while let Some(news) = told.recv().await {
            self.take(news, metrics);
            // Of many news at once only the last state is told.
            while let Ok(news) = told.try_recv() {
                self.take(news, metrics);
            }
            let is_listed = self.listed.is_some();
            let known = is_listed && self.services.values().all(|one| one.targets.is_some() || one.trouble.is_some());
            let troubles = self.listed.iter().filter(|why| !why.is_empty()).chain(self.services.values().filter_map(|one| one.trouble.as_ref()));
            let trouble: Vec<&str> = troubles.map(String::as_str).take(10).collect();
            let groups = self.services.iter().filter_map(|(name, one)| Some((name.clone(), one.targets.clone()?)));
            publish(sender, groups.collect(), known || sender.borrow().known, &trouble.join("; "));
        }
    }

    fn take(&mut self, news: News, metrics: &FeedMetrics) {
        match news {
            News::Services(names) => self.watch(names),
            News::Targets(name, group) => {
                if let Some(one) = self.services.get_mut(&name) {
                    (one.targets, one.trouble) = (Some(group), None);
                }
            }
            News::Failed(name, why) => {
                metrics.failed_in_part(self.kind, name.as_deref().unwrap_or(&self.url), &why);
                match name {
                    None => self.listed = self.listed.as_ref().map(|_| format!("{}: {why}", self.url)),
                    Some(name) => {
                        if let Some(one) = self.services.get_mut(&name) {
                            one.trouble = Some(format!("{name}: {why}"));
                        }
                    }
                }
            }
        }
    }

    /// These services and no others.
    fn watch(&mut self, mut names: Vec<String>) {
        self.listed = Some(String::new());
        if names.len() > SERVICES_MAX {
            names.truncate(SERVICES_MAX);
            self.listed = Some(format!("more than {SERVICES_MAX} services: the rest is not watched; name those that are wanted"));
        }
        self.services.retain(|name, one| {
            let stays = names.contains(name);
            if !stays {
                one.task.abort();
            }
            stays
        });
        for name in names {
            let (asker, news, tasks) = (&self.asker, &self.news, &mut self.tasks);
            self.services.entry(name.clone()).or_insert_with(|| One {
                task: tasks.spawn(follow(Arc::clone(asker), name, news.clone())),
                targets: None,
                trouble: None,
            });
        }
        while self.tasks.try_join_next().is_some() {}
    }
}

/// Tells the services there are, again and again.
async fn list(asker: Arc<Asker>, news: mpsc::Sender<News>) {
    let mut index = 0;
    loop {
        let (said, pause) = match asker.services(index).await {
            Ok((names, newest)) => {
                index = newest;
                (News::Services(names), asker.settings.refresh)
            }
            Err(why) => {
                index = 0;
                (News::Failed(None, why), PAUSE.min(asker.settings.refresh))
            }
        };
        if news.send(said).await.is_err() {
            return;
        }
        tokio::time::sleep(pause).await;
    }
}

/// Tells the targets of one service, again and again.
async fn follow(asker: Arc<Asker>, name: String, news: mpsc::Sender<News>) {
    let mut index = 0;
    loop {
        let (said, pause) = match asker.targets(&name, index).await {
            Ok((group, newest)) => {
                index = newest;
                (News::Targets(name.clone(), group), asker.settings.refresh)
            }
            Err(why) => {
                index = 0;
                (News::Failed(Some(name.clone()), why), PAUSE.min(asker.settings.refresh))
            }
        };
        if news.send(said).await.is_err() {
            return;
        }
        tokio::time::sleep(pause).await;
    }
}

#[cfg(test)]
mod tests;
