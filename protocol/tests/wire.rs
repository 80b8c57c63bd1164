//! The compatibility contract: every frame and body beside the JSON that stands for it, in `tests/wire/*.json`.
//!
//! Each golden file is read into its value and written from it, so neither side can drift. `docs/PROTOCOL.md` shows the
//! same files. After an intended change, regenerate them and read the diff:
//!
//! ```sh
//! NATTER_UPDATE_GOLDEN=1 cargo test -p protocol --test wire
//! ```

#![expect(clippy::unwrap_used, reason = "a test may fail")]

#[path = "wire/samples.rs"]
mod samples;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::path::{Path, PathBuf};

use protocol::api::{Credentials, History, Registered};
use protocol::{
    ClientFrame, Code, Fault, Me, Outcome, Presence, Refused, SearchNotice, Seq, ServerFrame, SessionId, Span,
};
use samples::{ada, client_frames, hello, invite, loaded, server_frames, talk};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

#[test]
fn every_client_frame_reads_and_writes_as_its_golden_file() {
    let frames = client_frames();
    for (name, frame) in &frames {
        golden(&format!("client_{name}"), frame);
    }
    assert_eq!(names_of(&frames), CLIENT_TYPES.iter().copied().collect(), "a golden file for every variant");
}

#[test]
fn every_server_frame_reads_and_writes_as_its_golden_file() {
    let frames = server_frames();
    for (name, frame) in &frames {
        golden(&format!("server_{name}"), frame);
    }
    assert_eq!(names_of(&frames), SERVER_TYPES.iter().copied().collect(), "a golden file for every variant");
}

#[test]
fn every_http_body_reads_and_writes_as_its_golden_file() {
    golden("api_registered", &Registered { user_id: ada() });
    golden("api_signed_in", &Me { user_id: ada(), username: "Ada".into() });
    let covers = Some(Span { after: Seq(4), up_to: Some(Seq(5)) });
    golden("api_history", &History { messages: vec![hello()], more: true, covers });
    golden("api_load", &loaded());
    golden("api_fault", &Fault::of(Code::NameTaken));

    // No equality on a type that holds a password: compare its fields.
    let credentials = Credentials { username: "Ada".into(), password: "correct horse".into() };
    let read: Credentials = serde_json::from_value(file("api_credentials", &credentials)).unwrap();
    assert_eq!((read.username, read.password), (credentials.username, credentials.password));
}

#[test]
fn every_refusal_has_its_code_status_and_sentence_in_the_golden_file() {
    let codes: BTreeMap<&str, Value> = Code::ALL
        .iter()
        .map(|code| (code.name(), json!({ "Status": code.status(), "Reason": code.reason() })))
        .collect();
    file("codes", &codes);
    for code in Code::ALL {
        assert_eq!(serde_json::to_value(code).unwrap(), json!(code.name()));
        assert!((400..600).contains(&code.status()));
        assert!(code.reason().ends_with('.'), "{code:?} speaks in sentences");
    }
}

#[test]
fn no_golden_file_is_left_over() {
    let mut expected: BTreeSet<String> =
        ["registered", "signed_in", "history", "load", "fault", "credentials"]
            .map(|name| format!("api_{name}"))
            .into();
    expected.insert("codes".into());
    expected.extend(client_frames().iter().map(|(name, _)| format!("client_{name}")));
    expected.extend(server_frames().iter().map(|(name, _)| format!("server_{name}")));
    let there: BTreeSet<String> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    assert_eq!(there, expected);
}

#[test]
fn a_client_frame_with_an_unknown_field_is_refused_whatever_its_type() {
    for (name, frame) in client_frames() {
        let mut value = serde_json::to_value(&frame).unwrap();
        value["Surprise"] = json!(1);
        let error = ClientFrame::decode(&value.to_string()).expect_err(name).to_string();
        assert!(error.contains("Surprise"), "{name}: the reason names the field: {error}");
    }
    let nested = json!({ "type": "Hello", "Sessions": { talk().to_string(): { "Rev": 1, "Surprise": 1 } } });
    ClientFrame::decode(&nested.to_string()).expect_err("in the positions of a Hello too");
}

#[test]
fn a_client_frame_without_one_of_its_fields_is_refused() {
    let optional = ["Sessions", "SessionID in Search", "Leave", "Sender"];
    for (name, frame) in client_frames() {
        let whole = serde_json::to_value(&frame).unwrap();
        for field in whole.as_object().unwrap().keys() {
            let place = if name.starts_with("search") && field == "SessionID" {
                "SessionID in Search"
            } else {
                field
            };
            let mut value = whole.clone();
            value.as_object_mut().unwrap().remove(field);
            let read = ClientFrame::decode(&value.to_string());
            assert_eq!(read.is_ok(), optional.contains(&place), "{name} without {field}: {read:?}");
        }
    }
}

#[test]
fn what_is_no_client_frame_is_refused() {
    let id = talk();
    for text in [
        "",
        "null",
        "[]",
        "1",
        "\"Pong\"",
        "{}",
        "{\"type\":\"Pong\"",
        "{\"type\":\"Pong\"} {\"type\":\"Pong\"}",
        "{\"type\":null}",
        "{\"type\":\"Nonsense\"}",
        "{\"type\":\"pong\"}",
        "{\"type\":\"Welcome\"}",
        "{\"Type\":\"Pong\"}",
        "{\"type\":\"Hello\",\"Sessions\":[]}",
        "{\"type\":\"Hello\",\"Sessions\":{\"nonsense\":{\"Rev\":1}}}",
        "{\"type\":\"Typing\",\"SessionID\":\"nonsense\"}",
        "{\"type\":\"Typing\",\"SessionID\":7}",
        &format!("{{\"type\":\"Read\",\"SessionID\":\"{id}\",\"Seq\":\"1\"}}"),
        &format!("{{\"type\":\"Read\",\"SessionID\":\"{id}\",\"Seq\":1.5}}"),
        &format!("{{\"type\":\"Read\",\"SessionID\":\"{id}\",\"Seq\":9223372036854775808}}"),
        &format!("{{\"type\":\"Read\",\"SessionID\":\"{id}\",\"Seq\":1,\"Seq\":2}}"),
        &format!("{{\"type\":\"Read\",\"type\":\"Read\",\"SessionID\":\"{id}\",\"Seq\":1}}"),
        "[\"Pong\"]",
        "[\"Hello\",{}]",
        &format!("[\"Read\",\"{id}\",1]"),
        "[\"Search\",\"Bob\"]",
        &format!("{{\"type\":\"Hello\",\"Sessions\":{{\"{id}\":[1]}}}}"),
        &format!("{{\"type\":\"Hello\",\"Sessions\":{{\"{id}\":{{\"Rev\":1}},\"{id}\":{{\"Rev\":2}}}}}}"),
        &format!("{{\"type\":\"Hello\",\"Sessions\":{{\"{id}\":{{\"Rev\":1,\"Rev\":2}}}}}}"),
        &format!("{{\"type\":\"Search\",\"InviteID\":\"{id}\",\"Status\":{{\"Accepted\":null}}}}"),
        "{\"type\":\"Search\",\"Username\":\"Bob\",\"Username\":\"Eve\"}",
        "{\"type\":{\"Pong\":null}}",
        &format!("{}{}", "[".repeat(200_000), "]".repeat(200_000)),
    ] {
        assert!(ClientFrame::decode(text).is_err(), "{}", text.chars().take(80).collect::<String>());
    }
}

#[test]
fn a_search_is_a_name_or_an_answer_and_never_a_mixture() {
    let (session, invite) = (talk(), invite());
    for fields in [
        json!({}),
        json!({ "Leave": true }),
        json!({ "SessionID": session }),
        json!({ "InviteID": invite }),
        json!({ "Status": "Accepted" }),
        json!({ "Username": "Bob", "Status": "Accepted" }),
        json!({ "Username": "Bob", "InviteID": invite }),
        json!({ "Username": "Bob", "InviteID": invite, "Status": "Accepted" }),
        json!({ "InviteID": invite, "Status": "Accepted", "SessionID": session }),
        json!({ "InviteID": invite, "Status": "Accepted", "Leave": true }),
        json!({ "InviteID": invite, "Status": "Pending" }),
        json!({ "InviteID": invite, "Status": "accepted" }),
        json!({ "Username": 5 }),
    ] {
        let mut frame = fields.clone();
        frame["type"] = json!("Search");
        assert!(ClientFrame::decode(&frame.to_string()).is_err(), "{fields}");
    }
}

#[test]
fn the_seeds_time_stamp_and_sender_are_taken_in_a_message() {
    for time_stamp in [json!(null), json!(1), json!("yesterday"), json!([1, { "a": 2 }]), json!({ "b": 1.5 })]
    {
        let frame = json!({
            "type": "Message", "SessionID": talk(), "MessageID": hello().message_id, "Data": "hello",
            "TimeStamp": time_stamp, "Sender": ada(),
        });
        let ClientFrame::Message(read) = ClientFrame::decode(&frame.to_string()).unwrap() else { panic!() };
        assert_eq!((read.sender, read.data.as_str()), (Some(ada()), "hello"), "TimeStamp {time_stamp}");
    }
}

#[test]
fn unknown_fields_and_types_are_tolerated_in_what_the_server_sends() {
    for (name, frame) in server_frames() {
        let mut value = serde_json::to_value(&frame).unwrap();
        surprise(&mut value);
        let read = ServerFrame::decode(&value.to_string()).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(read, frame, "{name}");
    }
    for unknown in [json!({ "type": "Reaction" }), json!({ "type": "Poll", "Rev": { "deep": [1, null] } })] {
        assert_eq!(ServerFrame::decode(&unknown.to_string()).unwrap(), ServerFrame::Unknown);
    }
    let mut body = serde_json::to_value(Fault::of(Code::Gone)).unwrap();
    body["Surprise"] = json!(1);
    assert_eq!(serde_json::from_value::<Fault>(body).unwrap(), Fault::of(Code::Gone));
}

#[test]
fn a_word_of_a_later_server_makes_no_frame_unreadable() {
    for (name, frame) in server_frames() {
        let mut value = serde_json::to_value(&frame).unwrap();
        if !say_it_in_new_words(&mut value) {
            continue;
        }
        let read = ServerFrame::decode(&value.to_string()).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(read.type_name(), frame.type_name(), "{name}");
        match read {
            ServerFrame::Refused(refused) => {
                let ServerFrame::Refused(said) = frame else { unreachable!() };
                assert_eq!(
                    refused,
                    Refused { code: Code::Unknown, ..said },
                    "what it answers, and its sentence"
                );
            }
            ServerFrame::Search(
                SearchNotice::Outcome { status, .. } | SearchNotice::Closed { status, .. },
            ) => assert_eq!(status, Outcome::Unknown, "{name}"),
            ServerFrame::Status { status, .. } => assert_eq!(status, Presence::Offline),
            ServerFrame::Welcome { sessions, .. } => {
                let users = sessions.values().flat_map(|head| head.users.values());
                assert!(users.into_iter().all(|user| user.status == Presence::Offline));
            }
            other => panic!("{name} has words of a closed set, and nobody looks at them: {other:?}"),
        }
    }
    let body = json!({ "Error": "Surprise", "Reason": "Tomorrow." });
    let fault: Fault = serde_json::from_value(body).unwrap();
    assert_eq!(fault, Fault::new(Code::Unknown, "Tomorrow."));
    // What a client sends has closed sets: a server that mistook one value for another would do something else.
    let answer = json!({ "type": "Search", "InviteID": invite(), "Status": "Surprise" });
    assert!(ClientFrame::decode(&answer.to_string()).is_err());
}

#[test]
fn credentials_with_an_unknown_field_are_refused_and_no_debug_output_shows_a_password() {
    let body = json!({ "Username": "Ada", "Password": "correct horse", "Admin": true });
    assert!(serde_json::from_value::<Credentials>(body).is_err());
    let credentials = Credentials { username: "Ada".into(), password: "correct horse".into() };
    assert!(!format!("{credentials:?}").contains("horse"));
}

/// Adds a field to every object whose keys are names of fields, not identifiers.
fn surprise(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.values_mut().for_each(surprise);
            if !fields.is_empty() && fields.keys().all(|key| key.parse::<SessionId>().is_err()) {
                fields.insert("Surprise".into(), json!({ "from": "a later version" }));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(surprise),
        _ => {}
    }
}

/// Replaces each value of a closed set with an unknown one. Returns whether there was any.
fn say_it_in_new_words(value: &mut Value) -> bool {
    let Value::Object(fields) = value else { return false };
    let mut found = false;
    for (name, value) in fields {
        if matches!(name.as_str(), "Code" | "Status" | "Error") && value.is_string() {
            *value = json!("Surprise");
            found = true;
        } else {
            found |= say_it_in_new_words(value);
        }
    }
    found
}

/// Compares the golden file with `value`, in both directions.
fn golden<T: Serialize + DeserializeOwned + PartialEq + Debug>(name: &str, value: &T) {
    let json = file(name, value);
    let read: T = serde_json::from_str(&json.to_string()).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(&read, value, "{name} read");
}

/// Returns the golden file's JSON, after checking that `value` serializes to exactly that.
fn file(name: &str, value: &impl Serialize) -> Value {
    let path = folder().join(format!("{name}.json"));
    let written = serde_json::to_value(value).unwrap();
    if std::env::var_os("NATTER_UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, format!("{}\n", serde_json::to_string_pretty(value).unwrap())).unwrap();
    }
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let golden: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(written, golden, "{name} written");
    golden
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wire")
}

const CLIENT_TYPES: [&str; 14] = [
    "Hello", "Message", "Search", "Read", "Typing", "Fetch", "Edit", "Delete", "Begin", "Leave", "Remove",
    "Rename", "Owner", "Pong",
];

const SERVER_TYPES: [&str; 16] = [
    "Welcome", "Ack", "Refused", "Message", "Page", "Heads", "Reset", "Search", "Session", "Left", "Read",
    "Status", "Typing", "Lagged", "Drain", "Unknown",
];

/// Returns the types named in these frames, including `Unknown`, which has no JSON of its own.
fn names_of<T: Serialize + TypeName>(frames: &[(&'static str, T)]) -> BTreeSet<&'static str> {
    frames.iter().map(|(_, frame)| frame.type_name()).chain(T::WITHOUT_JSON).collect()
}

/// The name of a frame's variant. The matches have no wildcard: a new variant does not compile without a name,
/// and fails above without a golden file.
trait TypeName {
    const WITHOUT_JSON: Option<&'static str> = None;
    fn type_name(&self) -> &'static str;
}

impl TypeName for ClientFrame {
    fn type_name(&self) -> &'static str {
        match self {
            ClientFrame::Hello { .. } => "Hello",
            ClientFrame::Message(_) => "Message",
            ClientFrame::Search(_) => "Search",
            ClientFrame::Read { .. } => "Read",
            ClientFrame::Typing { .. } => "Typing",
            ClientFrame::Fetch { .. } => "Fetch",
            ClientFrame::Edit { .. } => "Edit",
            ClientFrame::Delete { .. } => "Delete",
            ClientFrame::Begin { .. } => "Begin",
            ClientFrame::Leave { .. } => "Leave",
            ClientFrame::Remove { .. } => "Remove",
            ClientFrame::Rename { .. } => "Rename",
            ClientFrame::Owner { .. } => "Owner",
            ClientFrame::Pong {} => "Pong",
        }
    }
}

impl TypeName for ServerFrame {
    const WITHOUT_JSON: Option<&'static str> = Some("Unknown");
    fn type_name(&self) -> &'static str {
        match self {
            ServerFrame::Welcome { .. } => "Welcome",
            ServerFrame::Ack { .. } => "Ack",
            ServerFrame::Refused(_) => "Refused",
            ServerFrame::Message(_) => "Message",
            ServerFrame::Page { .. } => "Page",
            ServerFrame::Heads { .. } => "Heads",
            ServerFrame::Reset { .. } => "Reset",
            ServerFrame::Search(_) => "Search",
            ServerFrame::Session(_) => "Session",
            ServerFrame::Left { .. } => "Left",
            ServerFrame::Read { .. } => "Read",
            ServerFrame::Status { .. } => "Status",
            ServerFrame::Typing { .. } => "Typing",
            ServerFrame::Lagged => "Lagged",
            ServerFrame::Drain { .. } => "Drain",
            ServerFrame::Unknown => "Unknown",
        }
    }
}
