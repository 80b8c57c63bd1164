//! Times and days, for people and for programs.

use leptos::prelude::*;
use protocol::TimeStamp;

use crate::clock::{Clock, utc};

/// The time of day of a message.
#[component]
pub(crate) fn Moment(#[prop(into)] at: Signal<TimeStamp>) -> impl IntoView {
    let clock = expect_context::<Clock>();
    view! { <time datetime=move || utc(at.get())>{move || clock.time(at.get())}</time> }
}

/// The heading of a day above its messages.
#[component]
pub(crate) fn DayHeading(at: TimeStamp) -> impl IntoView {
    let clock = expect_context::<Clock>();
    view! {
        <li class="day">
            <time datetime=utc(at)[..10].to_owned()>{move || clock.day_heading(at)}</time>
        </li>
    }
}
