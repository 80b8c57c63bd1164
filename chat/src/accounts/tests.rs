use std::net::Ipv4Addr;

use super::*;
use crate::Options;

const PASSWORD: &str = "correct horse";

fn from(n: u32) -> Caller {
    Caller { address: Some(Ipv4Addr::from_bits(n << 8 | 1).into()), device: None }
}

/// Security's finding 15: strangers from everywhere fill the whole queue.
#[tokio::test]
async fn whoever_is_known_gets_in_while_strangers_fill_the_queue() {
    let data = tempfile::tempdir().unwrap();
    let chat = Chat::open(data.path(), Options::default()).await.unwrap();
    chat.register(&from(1), "Ada", PASSWORD.into()).await.unwrap();
    let device = chat.login(from(1), "Ada", PASSWORD.into()).await.unwrap().device;
    let mut flood = Vec::new();
    while let Ok(turn) = chat.turn(chat.stranger(&from(100 + u32::try_from(flood.len()).unwrap()))) {
        flood.push(turn);
    }
    let strange = chat.login(from(1), "Ada", PASSWORD.into()).await;
    assert!(matches!(strange, Err(Error::Unavailable(_))), "{strange:?}");
    let new = chat.register(&from(1), "Bob", PASSWORD.into()).await;
    assert!(matches!(new, Err(Error::Unavailable(_))), "{new:?}");
    let made_up = Device::parse(&device.text().replace(|c: char| c.is_ascii_digit(), "7")).unwrap();
    let pretended = chat.login(Caller { device: Some(made_up), ..from(1) }, "Ada", PASSWORD.into()).await;
    assert!(matches!(pretended, Err(Error::Unavailable(_))), "{pretended:?}");
    let known = || Caller { device: Some(device.clone()), ..from(2) };
    chat.login(known(), "Ada", PASSWORD.into()).await.unwrap();
    let slip = chat.login(known(), "Ada", "corect horse".into()).await;
    assert!(matches!(slip, Err(Error::Refused(_))), "{slip:?}");
    drop(flood);
    chat.login(from(3), "Ada", PASSWORD.into()).await.unwrap();
    chat.close().await;
}

#[tokio::test]
async fn ten_minutes_later_it_is_another_registration() {
    let data = tempfile::tempdir().unwrap();
    let chat = Chat::open(data.path(), Options::default()).await.unwrap();
    let user = chat.register(&from(1), "Ada", PASSWORD.into()).await.unwrap();
    assert_eq!(chat.register(&from(1), "Ada", PASSWORD.into()).await.unwrap(), user);
    chat.0.store.made_earlier(600_001).await;
    let late = chat.register(&from(1), "Ada", PASSWORD.into()).await;
    assert!(matches!(late, Err(Error::Refused(fault)) if fault.error == Code::NameTaken));
    chat.close().await;
}
