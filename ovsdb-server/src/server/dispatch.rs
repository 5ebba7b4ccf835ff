//! Methods (RFC 7047, section 4.1, and `ovsdb-server(7)`).

use ovsdb::jsonrpc::{Message, MessageError};
use ovsdb::value::is_identifier;

use crate::error::{Error, Result};
use crate::json::{Json, member};
use crate::lock::LockMode;
use crate::monitor::Version;
use crate::schema::Schema;
use crate::server::session::{Chunk, Item};
use crate::server::trigger::MAX_WAITING;
use crate::server::{Now, Server, SessionId};

/// What a method comes to.
enum Answer {
    /// A result, as JSON.
    Result(String),
    /// An error, as JSON.
    Error(String),
    /// It is sent elsewhere, or later.
    Elsewhere,
}

impl From<Error> for Answer {
    fn from(error: Error) -> Answer {
        Answer::Error(error.to_json())
    }
}

impl From<Result<Answer>> for Answer {
    fn from(result: Result<Answer>) -> Answer {
        result.unwrap_or_else(Answer::from)
    }
}

/// A request that is being answered.
struct Request<'r> {
    session: SessionId,
    method: &'r str,
    /// The identifier, as JSON.
    id: &'r str,
    /// The parameters as they came, and what they say.
    text: &'r str,
    params: &'r Json<'r>,
    now: Now,
}

impl Request<'_> {
    fn elements(&self) -> &[Json<'_>] {
        self.params.as_array().unwrap_or_default()
    }

    fn syntax(&self, details: &str) -> Error {
        Error::syntax(self.params, format!("{}: {details}", self.method))
    }
}

impl Server {
    pub(super) fn dispatch(
        &mut self,
        session: SessionId,
        message: Message<'_>,
        now: Now,
    ) -> Result<(), MessageError> {
        match message {
            Message::Request { method, params, id } => {
                let text = params.get();
                if method == "transact" && self.begin_long(session, id.get(), text, now) {
                    return Ok(());
                }
                let params = Json::parse(text)?;
                if params.as_array().is_none() {
                    return Err(MessageError::Form("parameters that are not an array"));
                }
                let id = id.get();
                let request = Request { session, method: &method, id, text, params: &params, now };
                let mut out = Vec::new();
                match self.answer(&request) {
                    Answer::Elsewhere => return Ok(()),
                    Answer::Result(result) => {
                        for part in ["{\"error\":null,\"id\":", id, ",\"result\":", &result, "}"] {
                            out.extend_from_slice(part.as_bytes());
                        }
                    }
                    Answer::Error(error) => {
                        for part in ["{\"error\":", &error, ",\"id\":", id, ",\"result\":null}"] {
                            out.extend_from_slice(part.as_bytes());
                        }
                    }
                }
                self.flush_monitors(session);
                self.send(session, Item::Bytes(Chunk::Own(out)));
            }
            Message::Notification { method, params } => {
                if method == "cancel" {
                    self.cancel(session, &Json::parse(params.get())?);
                }
            }
            // The answer to an echo of ours, or to nothing.
            Message::Response { .. } => {}
        }
        Ok(())
    }

    fn answer(&mut self, request: &Request<'_>) -> Answer {
        match request.method {
            "transact" => self.answer_transact(request).into(),
            "monitor_cond" | "monitor_cond_since" | "monitor_cond_change" if self.no_conditions => {
                Answer::Error("\"unknown method\"".to_owned())
            }
            "monitor" => self.answer_monitor(request, Version::V1).into(),
            "monitor_cond" => self.answer_monitor(request, Version::V2).into(),
            "monitor_cond_since" => self.answer_monitor(request, Version::V3).into(),
            "monitor_cond_change" => self
                .monitor_cond_change(request.session, request.params)
                .map(|()| Answer::Result("{}".to_owned()))
                .into(),
            "monitor_cancel" => match request.elements() {
                [monitor] if self.monitor_cancel(request.session, monitor) => {
                    Answer::Result("{}".to_owned())
                }
                [_] => Answer::Error("\"unknown monitor\"".to_owned()),
                _ => Answer::Error("\"invalid parameters\"".to_owned()),
            },
            "echo" => Answer::Result(request.text.to_owned()),
            "lock" => self.answer_lock(request, LockMode::Wait).into(),
            "steal" => self.answer_lock(request, LockMode::Steal).into(),
            "unlock" => self.answer_unlock(request).into(),
            "get_schema" => self
                .database_of(request)
                .map(|name| {
                    let database = self.databases.get(&name);
                    let schema = database.map_or("null", |hosted| hosted.database.get_schema());
                    Answer::Result(schema.to_owned())
                })
                .into(),
            "list_dbs" => {
                // Names are identifiers: nothing to escape.
                let names: Vec<String> =
                    self.databases.keys().map(|name| format!("\"{name}\"")).collect();
                Answer::Result(format!("[{}]", names.join(",")))
            }
            "get_server_id" => Answer::Result(format!("\"{}\"", self.id)),
            "set_db_change_aware" => match request.elements() {
                [Json::Bool(aware)] => {
                    if let Some(session) = self.sessions.get_mut(&request.session) {
                        session.change_aware = *aware;
                    }
                    Answer::Result("{}".to_owned())
                }
                _ => request.syntax("true or false parameter expected").into(),
            },
            "convert" => self.answer_convert(request).into(),
            _ => Answer::Error("\"unknown method\"".to_owned()),
        }
    }

    /// The database that a request names first.
    fn database_of(&self, request: &Request<'_>) -> Result<String> {
        let method = request.method;
        let Some(Json::String(name)) = request.elements().first() else {
            let details = format!("{method} request params must begin with <db-name>");
            return Err(Error::syntax(request.params, details));
        };
        match self.databases.contains_key(&**name) {
            true => Ok(name.to_string()),
            false => Err(Error::tagged(
                request.params,
                "unknown database",
                format!("{method} request specifies unknown database {name}"),
            )),
        }
    }

    fn answer_transact(&mut self, request: &Request<'_>) -> Result<Answer> {
        let name = self.database_of(request)?;
        let (waiting, same) = self.waiting(request.session, request.id);
        if same {
            return Err(request.syntax("duplicate request ID"));
        }
        if waiting >= MAX_WAITING {
            let details = format!("{waiting} transactions of this session are waiting already");
            return Err(Error::new("resources exhausted", details));
        }
        let params = (request.text, request.params);
        self.transact(request.session, &name, request.id, params, request.now);
        Ok(Answer::Elsewhere)
    }

    fn answer_monitor(&mut self, request: &Request<'_>, version: Version) -> Result<Answer> {
        let name = self.database_of(request)?;
        self.monitor(request.session, (&name, request.id), version, request.params)?;
        Ok(Answer::Elsewhere)
    }

    fn lock_name<'r>(&self, request: &'r Request<'_>) -> Result<&'r str, Answer> {
        let session = self.sessions.get(&request.session);
        if session.is_some_and(|session| session.options.read_only) {
            let text = "\"lock and unlock methods not allowed, DB server is read only.\"";
            return Err(Answer::Error(text.to_owned()));
        }
        match request.elements() {
            [Json::String(name)] if is_identifier(name) => Ok(name),
            _ => {
                let details = format!("{} request params must be <id>", request.method);
                Err(Error::syntax(request.params, details).into())
            }
        }
    }

    fn answer_lock(&mut self, request: &Request<'_>, mode: LockMode) -> Result<Answer> {
        let name = match self.lock_name(request) {
            Ok(name) => name,
            Err(answer) => return Ok(answer),
        };
        let Some(victim) = self.locks.lock(request.session, name, mode) else {
            let method = request.method;
            let details = format!("must issue \"unlock\" before new \"{method}\"");
            return Err(Error::syntax(request.params, details));
        };
        if let Some(victim) = victim {
            self.notify_lock(victim, "stolen", name);
        }
        let owned = self.locks.owns(request.session, name);
        Ok(Answer::Result(format!("{{\"locked\":{owned}}}")))
    }

    fn answer_unlock(&mut self, request: &Request<'_>) -> Result<Answer> {
        let name = match self.lock_name(request) {
            Ok(name) => name,
            Err(answer) => return Ok(answer),
        };
        match self.locks.unlock(request.session, name) {
            None => Err(request.syntax("\"unlock\" without \"lock\" or \"steal\"")),
            Some(next) => {
                if let Some(next) = next {
                    self.notify_lock(next, "locked", name);
                }
                Ok(Answer::Result("{}".to_owned()))
            }
        }
    }

    fn answer_convert(&mut self, request: &Request<'_>) -> Result<Answer> {
        let name = self.database_of(request)?;
        let session = self.sessions.get(&request.session);
        if session.is_some_and(|session| session.options.read_only) || name.starts_with('_') {
            let details = format!("conversion is not allowed for read-only database {name}");
            return Err(Error::new("not allowed", details));
        }
        let [_, schema] = request.elements() else {
            return Err(Error::syntax(request.params, "array expected"));
        };
        let schema = Schema::parse(&schema.to_text())?;
        self.convert(&name, schema, request.now)?;
        Ok(Answer::Result("{}".to_owned()))
    }

    /// Gives a database another schema. Its monitors end and its waiting transactions are canceled;
    /// sessions that did not say that they cope with such changes are to be closed.
    ///
    /// # Errors
    ///
    /// As [`crate::Database::convert`], or there is no such database.
    pub fn convert(&mut self, name: &str, schema: Schema, now: Now) -> Result<()> {
        let hosted = self.databases.get_mut(name);
        let hosted = hosted.ok_or_else(|| Error::new("unknown database", name.to_owned()))?;
        hosted.database.convert(schema, now)?;
        self.leave_database(name);
        self.show_schema(name);
        self.close_unaware(&format!("committed {name} database schema conversion"));
        Ok(())
    }

    fn cancel(&mut self, session: SessionId, params: &Json<'_>) {
        let Some([id]) = params.as_array() else { return };
        let id = id.to_text();
        self.cancel_triggers(|_, trigger| {
            let same = Json::parse(&trigger.id).is_ok_and(|known| known.to_text() == id);
            trigger.session == session && same
        });
    }

    /// Runs a transaction of the server's own, as if a client with all rights had sent it.
    /// `operations` is a JSON array; gives the results as JSON.
    ///
    /// # Errors
    ///
    /// If there is no such database, `operations` is not JSON, or an operation failed or would have
    /// to wait.
    pub fn transact_internal(&mut self, name: &str, operations: &str, now: Now) -> Result<String> {
        let json = Json::parse(operations)
            .map_err(|error| Error::new("syntax error", error.to_string()))?;
        let Some(operations) = json.as_array() else {
            return Err(Error::syntax(&json, "array expected"));
        };
        let results = self.run_internal(name, operations, now)?;
        let text = String::from_utf8(results).unwrap_or_default();
        let failed = Json::parse(&text).ok().and_then(|results| {
            let mut results = results.as_array()?.iter();
            let found = results.find(|result| {
                result.as_object().is_some_and(|members| member(members, "error").is_some())
            })?;
            let members = found.as_object()?;
            let details = member(members, "details").and_then(Json::as_str).unwrap_or_default();
            let tag = member(members, "error").and_then(Json::as_str).unwrap_or_default();
            Some(Error::new("transaction failed", format!("{tag}: {details}")))
        });
        match failed {
            Some(error) => Err(error),
            None => Ok(text),
        }
    }
}
