//! Formats dates and times. The server knows neither the reader's time zone nor language, so the first render is in UTC
//! and the same on both sides; after hydration the browser's own `Intl` takes over.

use std::cell::RefCell;

use js_sys::{Array, Date, Function, Intl, Object, Reflect};
use leptos::prelude::*;
use protocol::TimeStamp;
use wasm_bindgen::prelude::{JsValue, wasm_bindgen};

const DAY_MS: i64 = 86_400_000;

/// Tells days apart and formats moments. A handle: copies share one state.
#[derive(Clone, Copy)]
pub struct Clock {
    /// Today's day number in the reader's time zone; none in the first render.
    today: RwSignal<Option<i64>>,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self { today: RwSignal::new(None) }
    }

    /// Switches to the reader's time zone, and notices midnight. Only in the browser, after hydration.
    pub(crate) fn tick(self) {
        let today = local_day(TimeStamp(now().0));
        if self.today.try_get_untracked() != Some(Some(today)) {
            self.today.try_set(Some(today));
        }
    }

    /// Returns the number of the day that a moment belongs to. Not tracked: callers that group by day refresh once the
    /// clock has started.
    pub(crate) fn day(self, at: TimeStamp) -> i64 {
        if self.today.read_untracked().is_some() { local_day(at) } else { at.0.div_euclid(DAY_MS) }
    }

    /// Formats the time of day: 14:05.
    pub(crate) fn time(self, at: TimeStamp) -> String {
        if self.today.read().is_some() { Style::Time.write(at) } else { format!("{} UTC", &utc(at)[11..16]) }
    }

    /// Formats the heading of a day: Today, Yesterday, Monday, 2 March.
    pub(crate) fn day_heading(self, at: TimeStamp) -> String {
        let Some(today) = self.today.get() else { return utc(at)[..10].to_owned() };
        match today - local_day(at) {
            0 => "Today".to_owned(),
            1 => "Yesterday".to_owned(),
            days if days < 300 => Style::Day.write(at),
            _ => Style::DayAndYear.write(at),
        }
    }

    /// Formats a moment as short as possible: the time if it is today, then the weekday, then the date.
    pub(crate) fn short(self, at: TimeStamp) -> String {
        let Some(today) = self.today.get() else { return utc(at)[..10].to_owned() };
        match today - local_day(at) {
            ..1 => Style::Time.write(at),
            1 => "Yesterday".to_owned(),
            2..7 => Style::Weekday.write(at),
            days if days < 300 => Style::Date.write(at),
            _ => Style::DateAndYear.write(at),
        }
    }
}

/// Returns this computer's wall-clock time, which may be adjusted: for moments that are shown. Only in the browser.
pub(crate) fn now() -> TimeStamp {
    #[expect(clippy::cast_possible_truncation, reason = "milliseconds fit for 300,000 years")]
    TimeStamp(Date::now() as i64)
}

/// Returns milliseconds since the page was loaded, by a monotonic clock: for measuring durations. In some browsers it
/// stops while the computer sleeps. Only in the browser.
pub(crate) fn elapsed() -> i64 {
    #[expect(clippy::cast_possible_truncation, reason = "milliseconds of one page")]
    let elapsed = performance_now() as i64;
    elapsed
}

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = performance, js_name = now)]
    fn performance_now() -> f64;
}

fn local_day(at: TimeStamp) -> i64 {
    #[expect(clippy::cast_possible_truncation, reason = "an offset is at most 14 hours")]
    let offset = date(at).get_timezone_offset() as i64;
    (at.0 - offset * 60_000).div_euclid(DAY_MS)
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds are exact in a double for 280,000 years")]
fn date(at: TimeStamp) -> Date {
    Date::new(&JsValue::from_f64(at.0 as f64))
}

/// Formats a moment as RFC 3339, for `datetime` attributes. Civil date by Howard Hinnant's days algorithm.
pub(crate) fn utc(at: TimeStamp) -> String {
    let seconds = at.0.div_euclid(1000);
    let (day, second) = (seconds.div_euclid(86_400) + 719_468, seconds.rem_euclid(86_400));
    let (era, of_era) = (day.div_euclid(146_097), day.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let of_month = of_year - (153 * month + 2) / 5 + 1;
    let (year, month) = (year_of_era + era * 400 + i64::from(month >= 10), (month + 2) % 12 + 1);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{of_month:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// The formats of a moment.
#[derive(Clone, Copy)]
enum Style {
    Time,
    Weekday,
    Date,
    DateAndYear,
    Day,
    DayAndYear,
}

impl Style {
    const COUNT: usize = 6;

    fn options(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Time => &[("hour", "numeric"), ("minute", "2-digit")],
            Self::Weekday => &[("weekday", "short")],
            Self::Date => &[("day", "numeric"), ("month", "short")],
            Self::DateAndYear => &[("day", "numeric"), ("month", "short"), ("year", "numeric")],
            Self::Day => &[("weekday", "long"), ("day", "numeric"), ("month", "long")],
            Self::DayAndYear => &[("day", "numeric"), ("month", "long"), ("year", "numeric")],
        }
    }

    fn write(self, at: TimeStamp) -> String {
        thread_local! {
            // Creating a formatter costs a hundred times more than using it.
            static FORMATS: RefCell<[Option<Function>; Style::COUNT]> = const { RefCell::new([const { None }; Style::COUNT]) };
        }
        FORMATS.with_borrow_mut(|formats| {
            let format = formats[self as usize].get_or_insert_with(|| self.formatter());
            let text = format.call1(&JsValue::UNDEFINED, &date(at));
            text.ok().and_then(|text| text.as_string()).unwrap_or_default()
        })
    }

    fn formatter(self) -> Function {
        let options = Object::new();
        for (key, value) in self.options() {
            // Cannot fail: the object is fresh and extensible.
            let _ = Reflect::set(&options, &JsValue::from_str(key), &JsValue::from_str(value));
        }
        Intl::DateTimeFormat::new(&Array::new(), &options).format()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_as_rfc_3339() {
        assert_eq!(utc(TimeStamp(0)), "1970-01-01T00:00:00Z");
        assert_eq!(utc(TimeStamp(951_782_399_999)), "2000-02-28T23:59:59Z");
        assert_eq!(utc(TimeStamp(951_782_400_000)), "2000-02-29T00:00:00Z");
        assert_eq!(utc(TimeStamp(1_795_437_752_123)), "2026-11-23T12:42:32Z");
        assert_eq!(utc(TimeStamp(-1)), "1969-12-31T23:59:59Z");
    }
}
