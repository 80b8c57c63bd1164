//! A picture of how times are distributed: a self-contained SVG, light and dark.
//!
//! The x axis shows percentiles, stretched towards the slowest (50 %, 90 %, 99 %, …), the y axis the time, both
//! logarithmic: what a mean hides, the few that waited long, takes up most of the picture.

use std::fmt::Write as _;

use super::Report;

/// The size of the picture, and its margins around the axes.
const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 36.0;
const TOP: f64 = 56.0;
const BOTTOM: f64 = 46.0;

/// Lines differ in colour and, for acknowledgements, in dashes. Readable on white and on black.
const COLOURS: [&str; 6] = ["#3b7dd8", "#d9722e", "#2e9e63", "#b0539e", "#8a8d2b", "#5b6b7b"];

/// Marks on the axis: one in this many is slower.
const ONE_IN: [(f64, &str); 6] = [
    (1.0, "0 %"),
    (2.0, "50 %"),
    (10.0, "90 %"),
    (100.0, "99 %"),
    (1_000.0, "99.9 %"),
    (10_000.0, "99.99 %"),
];

/// One line of the picture.
struct Curve<'a> {
    name: String,
    points: &'a [(f64, f64)],
    dashed: bool,
}

/// Draws the times of these reports. Without any times, an empty frame.
#[must_use]
pub fn picture(title: &str, reports: &[Report]) -> String {
    let curves: Vec<Curve<'_>> = reports.iter().flat_map(curves).collect();
    let times = || curves.iter().flat_map(|curve| curve.points).map(|(_, ms)| *ms).filter(|ms| *ms > 0.0);
    let (low, high) = (decade(times().fold(f64::MAX, f64::min)), decade_above(times().fold(0.0, f64::max)));
    let mut svg = String::new();
    draw(&mut svg, title, &curves, low, high).expect("a string takes everything");
    svg
}

fn curves(report: &Report) -> impl Iterator<Item = Curve<'_>> {
    let rate = report.offered_per_second.map_or(String::new(), |rate| format!(", {rate:.0}/s"));
    let of = |what| format!("{}, {}{rate}: {what}", report.service, report.mode);
    let delivered = report.delivery.as_ref();
    let delivered =
        delivered.map(|times| Curve { name: of("delivered"), points: &times.curve, dashed: false });
    let acked = report.ack.as_ref();
    let acked = acked.map(|times| Curve { name: of("acknowledged"), points: &times.curve, dashed: true });
    delivered.into_iter().chain(acked)
}

fn decade(ms: f64) -> f64 {
    if ms == f64::MAX { 0.1 } else { 10_f64.powf(ms.log10().floor()) }
}

fn decade_above(ms: f64) -> f64 {
    if ms == 0.0 { 10.0 } else { 10_f64.powf((ms * 1.000_001).log10().ceil()) }
}

/// Returns the x coordinate of a quantile.
fn x(part: f64) -> f64 {
    let one_in = (1.0 / (1.0 - part).max(1e-4)).log10();
    LEFT + one_in / 4.0 * (WIDTH - LEFT - RIGHT)
}

fn draw(svg: &mut String, title: &str, curves: &[Curve<'_>], low: f64, high: f64) -> std::fmt::Result {
    let height = HEIGHT + curves.len() as f64 * 18.0;
    let y = |ms: f64| {
        let up = (ms.max(low) / low).log10() / (high / low).log10();
        HEIGHT - BOTTOM - up * (HEIGHT - BOTTOM - TOP)
    };
    write!(
        svg,
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="system-ui, sans-serif" font-size="13">
<style>text {{ fill: #24292f }} .grid {{ stroke: #d0d7de }} .page {{ fill: #fff }}
@media (prefers-color-scheme: dark) {{ text {{ fill: #e6edf3 }} .grid {{ stroke: #30363d }} .page {{ fill: #0d1117 }} }}</style>
<title>{title}</title>
<rect class="page" width="100%" height="100%"/>
<text x="{LEFT}" y="24" font-size="16" font-weight="600">{title}</text>
<text x="{LEFT}" y="43">milliseconds (upwards) that so many of all messages took at most (across)</text>
"#,
        title = escaped(title)
    )?;
    let right = WIDTH - RIGHT;
    let mut ms = low;
    while ms <= high * 1.001 {
        let at = y(ms);
        writeln!(svg, r#"<path class="grid" d="M{LEFT} {at:.1}H{right}"/>"#)?;
        writeln!(svg, r#"<text x="{:.0}" y="{:.1}" text-anchor="end">{ms}</text>"#, LEFT - 8.0, at + 4.0)?;
        ms = (ms * 10.0 * 1e6).round() / 1e6;
    }
    for (one_in, name) in ONE_IN {
        let (at, bottom) = (x(1.0 - 1.0 / one_in), HEIGHT - BOTTOM);
        writeln!(svg, r#"<path class="grid" d="M{at:.1} {TOP}V{bottom}"/>"#)?;
        writeln!(svg, r#"<text x="{at:.1}" y="{:.0}" text-anchor="middle">{name}</text>"#, bottom + 20.0)?;
    }
    for (curve, nth) in curves.iter().zip(0_usize..) {
        let (colour, dash) = (COLOURS[nth / 2 % COLOURS.len()], if curve.dashed { "6 4" } else { "none" });
        let style = format!(r#"fill="none" stroke="{colour}" stroke-width="2" stroke-dasharray="{dash}""#);
        let mut path = String::new();
        for (part, ms) in curve.points {
            let verb = if path.is_empty() { 'M' } else { 'L' };
            write!(path, "{verb}{:.1} {:.1}", x(*part).min(right), y(*ms))?;
        }
        writeln!(svg, r#"<path {style} d="{path}"/>"#)?;
        let at = HEIGHT + nth as f64 * 18.0;
        writeln!(svg, r#"<path {style} d="M{LEFT} {at}h30"/>"#)?;
        writeln!(svg, r#"<text x="{:.0}" y="{:.0}">{}</text>"#, LEFT + 40.0, at + 4.0, escaped(&curve.name))?;
    }
    writeln!(svg, "</svg>")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Latency;

    #[test]
    fn every_distribution_is_a_line_within_the_picture() {
        let latency = |worst: f64| Latency {
            count: 10_000,
            mean_ms: 1.0,
            p50_ms: 0.5,
            p99_ms: 5.0,
            p99_9_ms: 9.0,
            max_ms: worst,
            curve: vec![(0.0, 0.2), (0.5, 0.5), (0.99, 5.0), (0.9999, 9.0), (1.0, worst)],
        };
        let report = Report {
            service: "a <b> & c".into(),
            mode: "rate".into(),
            ack: Some(latency(20.0)),
            delivery: Some(latency(350.0)),
            ..Report::default()
        };
        let svg = picture("Times", &[report]);
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"));
        assert_eq!(svg.matches("stroke-width").count(), 4, "two lines and their two names: {svg}");
        assert!(svg.contains("a &lt;b&gt; &amp; c, rate: delivered") && svg.contains(">1000</text>"));
        for line in svg.lines().filter(|line| line.contains("stroke-width") && line.contains('L')) {
            let path = line.split(" d=\"").nth(1).unwrap().trim_end_matches("\"/>");
            let numbers: Vec<f64> = path.split(['M', 'L', ' ']).filter_map(|n| n.parse().ok()).collect();
            assert_eq!(numbers.len(), 10);
            assert!(
                numbers.chunks(2).all(|at| (0.0..=WIDTH).contains(&at[0]) && (0.0..=HEIGHT).contains(&at[1]))
            );
        }
        assert!(!picture("Nothing", &[]).contains("stroke-width"));
    }
}
