//! Salesforce: its token endpoint, SOQL and SOSL as far as they are asked, upsert by external id, composite with rollback.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};

use super::{PEOPLE, Req, Resp, Vendor, digits, ok, status};

pub struct Salesforce {
    /// The public key of the connected app's certificate, PKCS#1 DER.
    key: Vec<u8>,
    tables: BTreeMap<String, Vec<Value>>,
    sessions: usize,
    good_from: usize,
    next: usize,
    page: usize,
}

impl Salesforce {
    /// An org whose connected app has the certificate of this key, in PEM.
    pub fn of(pem: &str) -> Self {
        let PrivateKeyDer::Pkcs8(key) = PrivateKeyDer::from_pem_slice(pem.as_bytes()).unwrap() else {
            panic!("the key is PKCS#8")
        };
        let pair = RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()).unwrap();
        Self::new(pair.public().as_ref().to_vec())
    }

    fn new(key: Vec<u8>) -> Self {
        let contacts = PEOPLE.iter().map(|p| {
            json!({"Id": format!("003{:015}", p.id), "Name": format!("{} {}", p.first, p.last), "Email": p.email, "Phone": p.phone,
                "MobilePhone": null, "HomePhone": null})
        });
        let before = json!({"Id": "500000000000000001", "CaseNumber": "00001000", "Subject": "Where is my kettle?", "Status": "New",
            "IsClosed": false, "ContactId": format!("003{:015}", 101)});
        let tables = BTreeMap::from([
            ("Contact".to_owned(), contacts.collect()),
            ("Case".to_owned(), vec![before]),
            ("Task".to_owned(), Vec::new()),
            ("CaseComment".to_owned(), Vec::new()),
        ]);
        Self { key, tables, sessions: 0, good_from: 1, next: 0, page: 0 }
    }

    fn token(&mut self, req: &Req) -> Resp {
        let form: BTreeMap<String, String> = req
            .raw
            .split('&')
            .filter_map(|p| p.split_once('='))
            .map(|(n, v)| (super::decode(n), super::decode(v)))
            .collect();
        let bad = |why: &str| status(400, json!({"error": "invalid_grant", "error_description": why}));
        if form.get("grant_type").map(String::as_str) != Some("urn:ietf:params:oauth:grant-type:jwt-bearer") {
            return bad("unsupported");
        }
        let parts: Vec<&str> = form["assertion"].split('.').collect();
        let [head, claims, signature] = parts[..] else { return bad("invalid assertion") };
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &self.key);
        if key.verify(format!("{head}.{claims}").as_bytes(), &signature).is_err() {
            return bad("invalid signature");
        }
        let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
        let now = jiff::Timestamp::now().as_second();
        let expiry = claims["exp"].as_i64().unwrap();
        if claims["iss"] != "client-1" || claims["sub"] != "baton@acme.example" || expiry < now || expiry > now + 300 {
            return bad("user hasn't approved this consumer");
        }
        self.sessions += 1;
        ok(json!({"access_token": format!("00Dsession-{}", self.sessions), "token_type": "Bearer"}))
    }

    fn query(&self, soql: &str) -> Resp {
        let malformed = |why: &str| status(400, json!([{"message": why, "errorCode": "MALFORMED_QUERY"}]));
        let Some((select, rest)) = soql.strip_prefix("SELECT ").and_then(|s| s.split_once(" FROM ")) else {
            return malformed("no SELECT … FROM");
        };
        let (table, rest) = rest.split_once(" WHERE ").unwrap_or((rest, ""));
        let Some(rows) = self.tables.get(table) else {
            return status(
                400,
                json!([{"message": format!("sObject type '{table}' is not supported"), "errorCode": "INVALID_TYPE"}]),
            );
        };
        let (conditions, rest) = rest.split_once(" ORDER BY ").unwrap_or((rest, ""));
        let mut found: Vec<Value> = rows
            .iter()
            .filter(|row| {
                conditions.split(" AND ").all(|condition| {
                    let (field, value) = condition.split_once(" = ").unwrap();
                    match value.trim().strip_prefix('\'').and_then(|v| v.strip_suffix('\'')) {
                        Some(text) => {
                            row[field].as_str().is_some_and(|held| held.eq_ignore_ascii_case(&text.replace("\\'", "'")))
                        }
                        None => row[field].to_string() == value.trim(),
                    }
                })
            })
            .map(|row| {
                let fields = select.split(", ").map(|f| (f.to_owned(), row.get(f).cloned().unwrap_or(Value::Null)));
                Value::Object(fields.collect())
            })
            .collect();
        if rest.contains("DESC") {
            found.reverse();
        }
        if found.len() > 1 {
            // One record a page: the rest is behind nextRecordsUrl.
            let next = format!(
                "/services/data/v62.0/query/01g-{}-{}",
                self.page,
                URL_SAFE_NO_PAD.encode(json!(found[1..]).to_string())
            );
            return ok(json!({"totalSize": found.len(), "done": false, "nextRecordsUrl": next, "records": found[..1]}));
        }
        ok(json!({"totalSize": found.len(), "done": true, "records": found}))
    }

    fn search(&self, sosl: &str) -> Resp {
        let bad = || status(400, json!([{"message": "No search term found", "errorCode": "MALFORMED_SEARCH"}]));
        let Some((terms, rest)) =
            sosl.strip_prefix("FIND {").and_then(|s| s.split_once("} IN PHONE FIELDS RETURNING Contact("))
        else {
            return bad();
        };
        if !rest.ends_with(')') || terms.replace("\\+", "").contains('+') {
            return bad(); // a reserved character that is not escaped
        }
        let terms: Vec<String> = terms.split(" OR ").map(digits).collect();
        let contacts = &self.tables["Contact"];
        let hit = |c: &&Value| {
            // Indexed by its digits; a term finds what it is the end of.
            let held = digits(c["Phone"].as_str().unwrap_or_default());
            terms.iter().any(|term| term.len() >= 7 && held.ends_with(term.as_str()))
        };
        ok(json!({"searchRecords": contacts.iter().filter(hit).collect::<Vec<_>>()}))
    }

    /// One write; answers status and body as a composite's part has them.
    fn object(&mut self, method: &str, rest: &[&str], body: &Value) -> (u16, Value) {
        let error = |code: u16, name: &str, message: &str| (code, json!([{"message": message, "errorCode": name}]));
        match (method, rest) {
            ("PATCH", ["Case", "Gateway_Call_Id__c", call]) => {
                let cases = self.tables.get_mut("Case").unwrap();
                if let Some(case) = cases.iter_mut().find(|c| c["Gateway_Call_Id__c"] == *call) {
                    merge(case, body);
                    return (200, json!({"id": case["Id"], "success": true, "created": false}));
                }
                self.next += 1;
                let mut case = json!({"Id": format!("500{:015}", self.next + 1), "Gateway_Call_Id__c": call, "Status": "New", "IsClosed": false});
                merge(&mut case, body);
                let id = case["Id"].clone();
                cases.push(case);
                (201, json!({"id": id, "success": true, "created": true}))
            }
            ("POST", [table @ ("Task" | "CaseComment")]) => {
                if *table == "Task" {
                    if body["TaskSubtype"] != "Call" || body["CallObject"].as_str().is_none_or(|o| o.len() > 255) {
                        return error(400, "FIELD_INTEGRITY_EXCEPTION", "not a call");
                    }
                    if !self.tables["Case"].iter().any(|c| c["Id"] == body["WhatId"]) {
                        return error(400, "MALFORMED_ID", "WhatId: id value of incorrect type");
                    }
                }
                self.next += 1;
                let mut row = body.clone();
                row["Id"] = json!(format!("00T{:015}", self.next));
                let id = row["Id"].clone();
                self.tables.get_mut(*table).unwrap().push(row);
                (201, json!({"id": id, "success": true, "errors": []}))
            }
            ("PATCH", [table @ ("Task" | "Case"), id]) => {
                match self.tables.get_mut(*table).unwrap().iter_mut().find(|r| r["Id"] == *id) {
                    Some(row) => {
                        merge(row, body);
                        (204, Value::Null)
                    }
                    None => error(404, "NOT_FOUND", "Provided external ID field does not exist or is not accessible"),
                }
            }
            _ => error(404, "NOT_FOUND", "The requested resource does not exist"),
        }
    }

    fn composite(&mut self, body: &Value) -> Resp {
        let before = self.tables.clone();
        let mut made: BTreeMap<String, Value> = BTreeMap::new();
        let (mut parts, mut failed) = (Vec::new(), false);
        let requests = body["compositeRequest"].as_array().unwrap();
        for request in requests {
            let mut text = request["body"].to_string();
            for (name, answer) in &made {
                text = text.replace(&format!("@{{{name}.id}}"), answer["id"].as_str().unwrap_or_default());
            }
            let url = request["url"].as_str().unwrap().trim_start_matches("/services/data/v62.0/sobjects/").to_owned();
            let path: Vec<&str> = url.split('/').collect();
            let (code, answer) =
                self.object(request["method"].as_str().unwrap(), &path, &serde_json::from_str(&text).unwrap());
            failed |= code >= 300;
            made.insert(request["referenceId"].as_str().unwrap().into(), answer.clone());
            parts.push(json!({"body": answer, "httpHeaders": {}, "httpStatusCode": code, "referenceId": request["referenceId"]}));
        }
        if failed && body["allOrNone"] == true {
            self.tables = before;
        }
        ok(json!({"compositeResponse": parts}))
    }
}

fn merge(row: &mut Value, change: &Value) {
    for (name, value) in change.as_object().unwrap() {
        row[name] = value.clone();
    }
}

impl Vendor for Salesforce {
    fn answer(&mut self, req: &Req) -> Resp {
        let (method, parts) = req.parts();
        if parts == ["services", "oauth2", "token"] {
            return self.token(req);
        }
        let session =
            req.header("authorization").and_then(|a| a.strip_prefix("Bearer 00Dsession-")).and_then(|n| n.parse().ok());
        if session.is_none_or(|n: usize| n < self.good_from) {
            return status(401, json!([{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]));
        }
        match (method, parts.get(3..).unwrap_or_default()) {
            ("GET", ["limits"]) => ok(json!({"DailyApiRequests": {"Max": 100_000, "Remaining": 99_000}})),
            ("GET", ["query"]) => self.query(req.param("q").unwrap_or_default()),
            ("GET", ["query", rest]) => {
                let rows = rest.splitn(3, '-').nth(2).unwrap();
                let rows: Vec<Value> = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(rows).unwrap()).unwrap();
                ok(json!({"done": true, "records": rows}))
            }
            ("GET", ["search"]) => self.search(req.param("q").unwrap_or_default()),
            ("POST", ["composite"]) => self.composite(&req.body),
            (method, ["sobjects", rest @ ..]) => {
                let (code, body) = self.object(method, rest, &req.body);
                status(code, body)
            }
            _ => status(404, json!([{"message": "The requested resource does not exist", "errorCode": "NOT_FOUND"}])),
        }
    }

    fn limited(&self) -> Resp {
        Resp {
            status: 403,
            headers: vec![("retry-after", "0.02".into())],
            body: json!([{"message": "TotalRequests Limit exceeded.", "errorCode": "REQUEST_LIMIT_EXCEEDED"}]),
        }
    }

    fn expired(&mut self) -> Resp {
        self.good_from = self.sessions + 1;
        status(401, json!([{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]))
    }

    fn objects(&self) -> Vec<(&'static str, usize)> {
        vec![
            ("cases", self.tables["Case"].len() - 1),
            ("tasks", self.tables["Task"].len()),
            ("comments", self.tables["CaseComment"].len()),
        ]
    }
}
