//! The page's plots: plain SVG, readable in light and dark, with logarithmic axes as the systems are factors apart.

use std::fmt::Write as _;

use super::figures::number;

/// Width of every plot, in SVG units, which are CSS pixels at its natural size.
const WIDTH: f64 = 860.0;

/// The page's background and text colours (style/tokens.css) and a colour for each system, for light and for dark.
const STYLE: &str = "
  svg { --sheet: #fffdf9; --edge: #ddd6ca; --grid: #ece7dd; --ink: #211e1a; --soft: #5c564d;
    --natter: #1c6b52; --relay: #8a8275; --socketio: #2563a8; --prosody: #a86412; --ejabberd: #8b3f8f }
  @media (prefers-color-scheme: dark) {
    svg { --sheet: #1f1c18; --edge: #37322b; --grid: #2d2924; --ink: #ede8df; --soft: #aaa294;
      --natter: #86cdb0; --relay: #9a9284; --socketio: #7fb2ea; --prosody: #e2a75a; --ejabberd: #d493d8 }
  }
  .natter { --own: var(--natter) } .relay { --own: var(--relay) } .socketio { --own: var(--socketio) }
  .prosody { --own: var(--prosody) } .ejabberd { --own: var(--ejabberd) }
  text { font: 12px ui-sans-serif, system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif;
    fill: var(--soft); font-variant-numeric: tabular-nums }
  .title { font-size: 16px; font-weight: 600; fill: var(--ink) }
  .name { fill: var(--ink) } .natter.name { font-weight: 600 }
  .tick { font-size: 10.5px } .end { text-anchor: end } .middle { text-anchor: middle }
  .sheet { fill: var(--sheet); stroke: var(--edge) }
  .grid { stroke: var(--grid) } .axis { stroke: var(--edge) }
  .line { stroke: var(--own); stroke-width: 1.75; fill: none; stroke-linejoin: round }
  .natter.line { stroke-width: 3 } .relay.line { stroke-dasharray: 5 4 }
  .dot { fill: var(--own); stroke: var(--own); stroke-width: 1.75 } .hollow { fill: var(--sheet) }
";

/// One system's values.
pub(super) struct Series {
    /// Its short name, which decides its colour.
    pub key: String,
    /// Its name.
    pub title: String,
    /// In a panel of lines (x, y), in ascending order of x; in a plot of dots one x for each kind (y is ignored).
    pub points: Vec<(f64, f64)>,
}

/// Draws panels of lines, side by side with the same axes: milliseconds over rates.
pub(super) fn lines(title: &str, about: &str, rates: &[f64], panels: &[(&str, Vec<Series>)]) -> String {
    const HEIGHT: f64 = 430.0;
    let mut svg = Svg::new(title, about, HEIGHT);
    let all = || panels.iter().flat_map(|(_, series)| series).flat_map(|series| &series.points);
    let (Some(&first), Some(&last)) = (rates.first(), rates.last()) else { return svg.end() };
    let across = Scale::over([first, last].into_iter(), 0.0, 1.0);
    let up = Scale::decades(all().map(|(_, milliseconds)| *milliseconds), 348.0, 140.0);
    let wide = (WIDTH - 40.0) / panels.len() as f64;
    for (at, (name, series)) in panels.iter().enumerate() {
        let left = 20.0 + wide * at as f64 + 48.0;
        let right = left + wide - 80.0;
        let x = |rate: f64| left + across.place(rate) * (right - left);
        svg.text((left + right) / 2.0, 122.0, "middle name", name);
        for decade in up.marks() {
            let y = up.place(decade);
            svg.rule((left, y), (right, y), "grid");
            svg.text(left - 8.0, y + 4.0, "end", &format!("{} ms", number(decade)));
        }
        for &rate in rates {
            svg.rule((x(rate), 348.0), (x(rate), 353.0), "axis");
            svg.text(x(rate), 369.0, "middle tick", &short(rate));
        }
        svg.rule((left, 348.0), (right, 348.0), "axis");
        svg.text((left + right) / 2.0, 394.0, "middle", "messages a second");
        // The first system is drawn last, on top.
        for series in series.iter().rev() {
            let points: Vec<_> = series.points.iter().map(|&(rate, y)| (x(rate), up.place(y))).collect();
            svg.line(&points, &series.key);
            for point in &points {
                svg.dot(*point, 3.5, &series.key);
            }
        }
    }
    let names = panels.first().map(|(_, series)| series.as_slice()).unwrap_or_default();
    svg.legend(names);
    svg.end()
}

/// Draws a row of dots per system on one logarithmic axis: all kinds but the last are hollow, and a line joins them.
pub(super) fn dots(title: &str, about: &str, unit: &str, kinds: &[String], rows: &[Series]) -> String {
    const ROW: f64 = 34.0;
    const LEFT: f64 = 230.0;
    const RIGHT: f64 = WIDTH - 84.0;
    let bottom = 104.0 + ROW * rows.len() as f64;
    let mut svg = Svg::new(title, about, bottom + 46.0);
    let values = rows.iter().flat_map(|row| &row.points).map(|(value, _)| *value);
    let across = Scale::decades(values, LEFT, RIGHT);
    for decade in across.marks() {
        let x = across.place(decade);
        svg.rule((x, 96.0), (x, bottom), "grid");
        svg.text(x, bottom + 20.0, "middle", &format!("{} {unit}", number(decade)));
    }
    for (at, row) in rows.iter().enumerate() {
        let y = 104.0 + ROW * (at as f64 + 0.5);
        svg.text(LEFT - 24.0, y + 4.0, &format!("end name {}", row.key), &row.title);
        let places: Vec<_> = row.points.iter().map(|(value, _)| (across.place(*value), y)).collect();
        svg.line(&places, &row.key);
        for (nth, place) in places.iter().enumerate() {
            let hollow = if nth + 1 < kinds.len() { " hollow" } else { "" };
            svg.dot(*place, 5.5, &format!("{}{hollow}", row.key));
        }
        let rightmost = row.points.iter().map(|(value, _)| *value).fold(f64::MIN, f64::max);
        let said: Vec<_> = row.points.iter().map(|(value, _)| number(*value)).collect();
        if !said.is_empty() {
            svg.text(
                across.place(rightmost) + 14.0,
                y + 4.0,
                &format!("name {}", row.key),
                &said.join(" / "),
            );
        }
    }
    if kinds.len() > 1 {
        svg.text(WIDTH - 24.0, 36.0, "end", &format!("{} (the last is filled)", kinds.join(" / ")));
    }
    svg.end()
}

/// Maps values to positions on a logarithmic axis.
struct Scale {
    from: f64,
    to: f64,
    begin: f64,
    end: f64,
}

impl Scale {
    /// Spans from the smallest to the largest value.
    fn over(values: impl Iterator<Item = f64>, begin: f64, end: f64) -> Self {
        let (from, to) =
            values.filter(|value| *value > 0.0).fold((f64::MAX, f64::MIN), |(low, high), value| {
                (low.min(value.log10()), high.max(value.log10()))
            });
        if from < to { Self { from, to, begin, end } } else { Self { from: 0.0, to: 1.0, begin, end } }
    }

    /// Spans from the power of ten below the smallest to that above the largest value.
    fn decades(values: impl Iterator<Item = f64>, begin: f64, end: f64) -> Self {
        let values: Vec<f64> = values.filter(|value| *value > 0.0).collect();
        let low = values.iter().copied().fold(f64::MAX, f64::min).log10().floor();
        let high = values.iter().copied().fold(f64::MIN_POSITIVE, f64::max).log10().ceil();
        if low < high {
            Self { from: low, to: high, begin, end }
        } else {
            Self { from: 0.0, to: 1.0, begin, end }
        }
    }

    fn place(&self, value: f64) -> f64 {
        let part = (value.max(f64::MIN_POSITIVE).log10() - self.from) / (self.to - self.from);
        self.begin + part.clamp(0.0, 1.0) * (self.end - self.begin)
    }

    /// Returns the powers of ten on it.
    fn marks(&self) -> impl Iterator<Item = f64> + use<> {
        (self.from as i32..=self.to as i32).map(|exponent| 10_f64.powi(exponent))
    }
}

/// Formats a rate in few characters.
fn short(rate: f64) -> String {
    if rate < 1_000.0 { format!("{rate:.0}") } else { format!("{}k", rate / 1_000.0) }
}

/// A picture under construction.
struct Svg {
    text: String,
}

impl Svg {
    fn new(title: &str, about: &str, height: f64) -> Self {
        let mut text = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
             height=\"{height}\" role=\"img\" aria-label=\"{0}\">\n<title>{0}</title>\n<style>{STYLE}</style>\n",
            escaped(title)
        );
        let (wide, high) = (WIDTH - 1.0, height - 1.0);
        writeln!(
            text,
            "<rect class=\"sheet\" x=\".5\" y=\".5\" width=\"{wide}\" height=\"{high}\" rx=\"12\"/>"
        )
        .expect("a string takes everything");
        let mut svg = Self { text };
        svg.text(24.0, 36.0, "title", title);
        svg.text(24.0, 58.0, "", about);
        svg
    }

    fn add(&mut self, line: std::fmt::Arguments<'_>) {
        self.text.write_fmt(line).expect("a string takes everything");
        self.text.push('\n');
    }

    fn text(&mut self, x: f64, y: f64, class: &str, text: &str) {
        self.add(format_args!("<text x=\"{x:.1}\" y=\"{y:.1}\" class=\"{class}\">{}</text>", escaped(text)));
    }

    fn rule(&mut self, (x1, y1): (f64, f64), (x2, y2): (f64, f64), class: &str) {
        self.add(format_args!(
            "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" class=\"{class}\"/>"
        ));
    }

    fn line(&mut self, points: &[(f64, f64)], key: &str) {
        let points: Vec<_> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        self.add(format_args!("<polyline points=\"{}\" class=\"line {key}\"/>", points.join(" ")));
    }

    fn dot(&mut self, (x, y): (f64, f64), radius: f64, class: &str) {
        self.add(format_args!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\" class=\"dot {class}\"/>"));
    }

    /// Adds the colour of each system, in one row.
    fn legend(&mut self, series: &[Series]) {
        let mut x = 24.0;
        for Series { key, title, .. } in series {
            self.line(&[(x, 84.0), (x + 22.0, 84.0)], key);
            self.dot((x + 11.0, 84.0), 3.5, key);
            self.text(x + 29.0, 88.0, &format!("name {key}"), title);
            x += 29.0 + 6.6 * title.chars().count() as f64 + 18.0;
        }
    }

    fn end(mut self) -> String {
        self.text.push_str("</svg>\n");
        self.text
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(points: &[(f64, f64)]) -> Series {
        Series { key: "natter".into(), title: "Natter & co".into(), points: points.to_vec() }
    }

    #[test]
    fn a_scale_places_by_factors_within_its_ends() {
        let scale = Scale::decades([0.3, 40.0].into_iter(), 0.0, 30.0);
        assert_eq!(scale.marks().collect::<Vec<_>>(), [0.1, 1.0, 10.0, 100.0]);
        let places = [0.1, 1.0, 10.0, 100.0, 0.0, 1e9].map(|value| scale.place(value).round());
        assert_eq!(places, [0.0, 10.0, 20.0, 30.0, 0.0, 30.0]);
        assert!(Scale::decades([].into_iter(), 0.0, 1.0).place(5.0).is_finite());
        assert!(Scale::over([].into_iter(), 0.0, 1.0).place(5.0).is_finite());
    }

    #[test]
    fn plots_are_well_formed_and_hold_every_point() {
        let lines = lines(
            "A < B",
            "about",
            &[10.0, 100.0, 1_600.0],
            &[
                ("p50", vec![series(&[(10.0, 0.5), (100.0, 9.0)]), series(&[])]),
                ("p99", vec![series(&[(10.0, 50.0)])]),
            ],
        );
        assert_eq!(lines.matches("r=\"3.5\"").count(), 3 + 2, "points, and the legend's");
        assert!(lines.contains(">1.6k<") && lines.contains("A &lt; B") && lines.contains("Natter &amp; co"));
        let kinds = ["1,000".to_owned(), "5,000".to_owned()];
        let dots = dots("Memory", "about", "KiB", &kinds, &[series(&[(8.0, 0.0), (6.0, 0.0)]), series(&[])]);
        assert!(dots.contains("natter hollow") && dots.contains("8 / 6"));
        for svg in [lines, dots] {
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
            assert_eq!(svg.matches("<text").count(), svg.matches("</text>").count());
            assert!(svg.ends_with("</svg>\n"));
        }
    }
}
