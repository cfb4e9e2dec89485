//! Recorded readings as devices: series with labelled windows, and rows of Edge-IIoTset.
//!
//! A *series* is a file `timestamp,value`; it keeps its time stamps, and all series are merged in the order of
//! event time, so that no row is late. *Device files* (`device_<n>.csv`, all columns of the data set) are
//! sent in random order over the devices, each file in its own order, stamped with the time of sending.
//! Both pace by position: row i of the whole replay is due `i / rate` seconds after the start.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::feed::{Feed, Row};
use super::labels::Label;
use super::message::{self, FeatureSource, parse_time};
use super::random::{Purpose, below, draw, key};
use super::schedule::AnomalyKind;
use crate::error::{Error, Result};
use crate::limits::RECORD_BYTES_MAX;

/// Features of a replayed series' messages.
const SERIES_FEATURES: usize = 13;
/// Rows of a device file read at once: bounds memory with thousands of files.
const CHUNK_ROWS: usize = 16;

/// How a replay is laid out in time and over partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Partitions: file i belongs to site `i % sites` (device files: to the site of their number).
    pub sites: u16,
    /// When the first row is due, µs since 1970.
    pub start_us: i64,
    /// Rows per second over all partitions.
    pub rate: u64,
    /// Seed of the order over devices.
    pub seed: u64,
}

impl Layout {
    fn due_us(&self, position: u64) -> i64 {
        let since = i128::from(position) * 1_000_000 / i128::from(self.rate.max(1));
        i64::try_from(i128::from(self.start_us) + since).unwrap_or(i64::MAX)
    }

    fn site(&self, number: usize) -> u16 {
        (number % usize::from(self.sites.max(1))) as u16
    }
}

/// A recorded series: one device.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Its device: the file's name without extension.
    pub device_id: String,
    /// (event time µs, value as written), rising.
    pub readings: Vec<(i64, f64)>,
}

impl Series {
    /// Reads `timestamp,value` lines; readings are put in the order of time.
    ///
    /// # Errors
    /// `Data` with file and line.
    pub fn parse(path: &Path, text: &str) -> Result<Self> {
        let wrong = |line: usize, what: &str| Error::data(format!("{what} in line {line} of \"{}\"", path.display()));
        let mut lines = text.lines().enumerate();
        if lines.next().map(|(_, header)| header.trim_start_matches('\u{feff}').trim()) != Some("timestamp,value") {
            return Err(wrong(1, "no header \"timestamp,value\"").hint("replay files of the form timestamp,value"));
        }
        let mut readings = Vec::new();
        for (number, line) in lines.filter(|(_, line)| !line.trim().is_empty()) {
            let (time, value) = line.split_once(',').ok_or_else(|| wrong(number + 1, "no comma"))?;
            let time = parse_time(time).map_err(|error| wrong(number + 1, error.message()))?;
            let value: f64 =
                value.trim().parse().map_err(|_| wrong(number + 1, &format!("\"{value}\" is not a number")))?;
            if !value.is_finite() {
                return Err(wrong(number + 1, &format!("\"{value}\" is not a finite number")));
            }
            readings.push((time, value));
        }
        readings.sort_by_key(|(time, _)| *time);
        let device_id = path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
        Ok(Self { device_id, readings })
    }

    /// Reads series from files.
    ///
    /// # Errors
    /// `Config` if a file cannot be read or two have the same name; otherwise as [`Series::parse`].
    pub fn read(paths: &[PathBuf]) -> Result<Vec<Self>> {
        let mut names = std::collections::BTreeSet::new();
        let mut all = Vec::with_capacity(paths.len());
        for path in paths {
            let series = Self::parse(path, &read_text(path)?)?;
            if !names.insert(series.device_id.clone()) {
                return Err(Error::config(format!(
                    "two files are named \"{}\": a device is named by its file",
                    series.device_id
                )));
            }
            all.push(series);
        }
        Ok(all)
    }
}

fn read_text(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|e| unreadable(path, e))
}

fn unreadable(path: &Path, error: std::io::Error) -> Error {
    Error::config(format!("\"{}\" cannot be read: {}", path.display(), error.kind())).because(error)
}

/// Labelled windows by device, from `combined_windows.json`: `{"group/file.csv": [["start", "end"], …], …}`.
///
/// # Errors
/// `Data` if the text is not of that form.
pub fn parse_windows(text: &str) -> Result<BTreeMap<String, Vec<(i64, i64)>>> {
    let files: BTreeMap<String, Vec<(String, String)>> = serde_json::from_str(text).map_err(|e| {
        Error::data("the windows are not of the form {\"file.csv\": [[\"start\", \"end\"]]}").because(e)
    })?;
    let mut windows = BTreeMap::new();
    for (file, ranges) in files {
        let device = Path::new(&file).file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
        let ranges: Result<Vec<_>> =
            ranges.iter().map(|(start, end)| Ok((parse_time(start)?, parse_time(end)?))).collect();
        windows.insert(device, ranges?);
    }
    Ok(windows)
}

/// The feeds of a replay of series, partition by partition. Each label leaves with the first row of its window.
pub fn series_feeds(
    series: &[Series],
    windows: &BTreeMap<String, Vec<(i64, i64)>>,
    layout: &Layout,
) -> Vec<(i32, Box<dyn Feed>)> {
    let mut order: Vec<(i64, usize, usize)> = Vec::new();
    for (file, one) in series.iter().enumerate() {
        order.extend(one.readings.iter().enumerate().map(|(line, (time, _))| (*time, file, line)));
    }
    order.sort_unstable();
    let mut feeds: Vec<SeriesFeed> = (0..layout.sites).map(|_| SeriesFeed::default()).collect();
    let mut members = Vec::with_capacity(series.len());
    for (file, one) in series.iter().enumerate() {
        let site = layout.site(file);
        let Some(feed) = feeds.get_mut(usize::from(site)) else { continue };
        members.push(feed.heads.len());
        feed.heads.push((one.device_id.clone(), message::head(&one.device_id, site)));
    }
    for (position, (time, file, line)) in order.into_iter().enumerate() {
        let (Some(one), Some(member)) = (series.get(file), members.get(file)) else { continue };
        let Some(feed) = feeds.get_mut(usize::from(layout.site(file))) else { continue };
        let value = one.readings.get(line).map_or(0.0, |(_, value)| *value);
        let inside =
            windows.get(&one.device_id).is_some_and(|w| w.iter().any(|(start, end)| (*start..=*end).contains(&time)));
        let due_us = layout.due_us(position as u64);
        feed.rows.push(SeriesRow { member: *member, tick: line as u64, time, due_us, value, inside });
    }
    let mut all: Vec<(i32, Box<dyn Feed>)> = Vec::new();
    for (site, mut feed) in feeds.into_iter().enumerate() {
        let partition = i32::try_from(site).unwrap_or(i32::MAX);
        feed.labels = feed.window_labels(windows, partition);
        all.push((partition, Box::new(feed)));
    }
    all
}

#[derive(Debug, Clone, Copy)]
struct SeriesRow {
    member: usize,
    tick: u64,
    time: i64,
    due_us: i64,
    value: f64,
    inside: bool,
}

/// The rows of one partition of a replay of series.
#[derive(Debug, Default)]
struct SeriesFeed {
    // fixed at start
    heads: Vec<(String, Vec<u8>)>,
    rows: Vec<SeriesRow>,
    // changes while running
    labels: VecDeque<Label>,
    /// Rows gone to.
    done: usize,
    value: Vec<u8>,
}

impl SeriesFeed {
    /// Labels of this partition's devices, in the order of their first rows.
    fn window_labels(&self, windows: &BTreeMap<String, Vec<(i64, i64)>>, partition: i32) -> VecDeque<Label> {
        let mut labels = Vec::new();
        for (member, (device_id, _)) in self.heads.iter().enumerate() {
            for (start, end) in windows.get(device_id).into_iter().flatten() {
                let within = |row: &SeriesRow| row.member == member && (*start..=*end).contains(&row.time);
                let Some(first) = self.rows.iter().position(within) else { continue };
                labels.push(Label {
                    anomaly_id: format!("{device_id}-{start}"),
                    device_id: device_id.clone(),
                    kind: AnomalyKind::Window,
                    start: *start,
                    end: *end,
                    settled: *end,
                    start_offset: Some(first as i64),
                    partition,
                    magnitude: 0.0,
                });
            }
        }
        labels.sort_by_key(|label| label.start_offset);
        labels.into()
    }
}

impl Feed for SeriesFeed {
    fn next_due_us(&mut self) -> Result<Option<i64>> {
        Ok(self.rows.get(self.done).map(|row| row.due_us))
    }

    fn advance(&mut self) -> Result<bool> {
        let Some(row) = self.rows.get(self.done).copied() else { return Ok(false) };
        self.done += 1;
        let Some((_, head)) = self.heads.get(row.member) else { return Ok(false) };
        let data = row.value.to_string();
        message::write_reading(&mut self.value, head, row.time, data.as_bytes());
        // Every feature is there: the recording tells nothing else, so the others are plain filler.
        let source = FeatureSource {
            count: SERIES_FEATURES,
            device_bits: u64::MAX,
            reading_bits: draw(row.member as u64, row.tick),
            anomalous: row.inside,
        };
        message::write_features(&mut self.value, source, data.as_bytes());
        message::write_end(&mut self.value);
        Ok(true)
    }

    fn row(&self) -> Row<'_> {
        let row = self.done.checked_sub(1).and_then(|at| self.rows.get(at));
        Row {
            device: row.and_then(|row| self.heads.get(row.member)).map_or("", |(name, _)| name.as_str()),
            value: &self.value,
            event_time_us: row.map_or(0, |row| row.time),
            due_us: row.map_or(0, |row| row.due_us),
            tick: row.map_or(0, |row| row.tick),
            anomaly: row.filter(|row| row.inside).map(|_| AnomalyKind::Window),
            repeated: false,
        }
    }

    fn take_labels(&mut self) -> Vec<Label> {
        let done = self.done as i64;
        let begun = self.labels.iter().take_while(|label| label.start_offset.is_none_or(|first| first < done)).count();
        self.labels.drain(..begun).collect()
    }
}

/// The files `device_<n>.csv` of a folder, by number; none if there is no such folder.
///
/// # Errors
/// `Config` if the folder cannot be listed.
pub fn device_files(folder: &Path) -> Result<Vec<(u32, PathBuf)>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(folder, error)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(|e| unreadable(folder, e))?.path();
        let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let number =
            name.strip_prefix("device_").and_then(|rest| rest.strip_suffix(".csv")).and_then(|n| n.parse().ok());
        files.extend(number.map(|number| (number, path)));
    }
    files.sort_unstable();
    Ok(files)
}

/// The feeds of a replay of device files, partition by partition; `site_of` tells the site of a device number.
///
/// # Errors
/// `Config` if a file cannot be read, `Data` if it has no header of the data set.
pub fn device_feeds(
    files: &[(u32, PathBuf)],
    site_of: impl Fn(u32) -> u16,
    layout: &Layout,
) -> Result<Vec<(i32, Box<dyn Feed>)>> {
    let mut feeds = Vec::new();
    for site in 0..layout.sites {
        let of_site = files.iter().filter(|(number, _)| site_of(*number) == site);
        let devices: Result<Vec<_>> = of_site.map(|(number, path)| DeviceFile::open(*number, path, site)).collect();
        let feed = DeviceFeed {
            order_key: key(layout.seed, Purpose::Order, u32::from(site)),
            layout: *layout,
            site,
            devices: devices?,
            ..DeviceFeed::default()
        };
        feeds.push((i32::from(site), Box::new(feed) as Box<dyn Feed>));
    }
    Ok(feeds)
}

/// One device's file, read a few rows at a time.
#[derive(Debug)]
struct DeviceFile {
    // fixed at start
    path: PathBuf,
    name: String,
    head: Vec<u8>,
    columns: Vec<String>,
    // changes while running
    /// Where the next chunk begins, and its first line's number.
    position: u64,
    line: usize,
    rows: VecDeque<(usize, Vec<String>)>,
    sent: u64,
}

impl DeviceFile {
    fn open(number: u32, path: &Path, site: u16) -> Result<Self> {
        let name = format!("device_{number}");
        let head = message::head(&name, site);
        let path = path.to_path_buf();
        let mut file =
            Self { path, name, head, columns: Vec::new(), position: 0, line: 0, rows: VecDeque::new(), sent: 0 };
        file.columns = file.read_rows(1)?.pop().map(|(_, fields)| fields).unwrap_or_default();
        if !file.columns.iter().any(|column| message::is_feature(column)) {
            let error = Error::data(format!("\"{}\" has no column of Edge-IIoTset", file.path.display()));
            return Err(error.hint("its first line must name the columns, \"tcp.ack\" among them"));
        }
        Ok(file)
    }

    /// Reads up to `count` rows and moves on.
    fn read_rows(&mut self, count: usize) -> Result<Vec<(usize, Vec<String>)>> {
        let failed = |error| unreadable(&self.path, error);
        let mut file = std::fs::File::open(&self.path).map_err(failed)?;
        file.seek(SeekFrom::Start(self.position)).map_err(failed)?;
        let mut reader = BufReader::new(file);
        let mut rows = Vec::new();
        while rows.len() < count {
            let mut line = String::new();
            let read = reader.by_ref().take(RECORD_BYTES_MAX as u64).read_line(&mut line).map_err(failed)?;
            if read == 0 {
                break;
            }
            self.position += read as u64;
            self.line += 1;
            if !line.trim().is_empty() {
                rows.push((self.line, split_fields(line.trim_end_matches(['\r', '\n']))));
            }
        }
        Ok(rows)
    }

    /// Whether there is a row left.
    fn has_row(&mut self) -> Result<bool> {
        if self.rows.is_empty() {
            self.rows = self.read_rows(CHUNK_ROWS)?.into();
        }
        Ok(!self.rows.is_empty())
    }

    /// Takes the next row: its message for `time_us`, and whether it is labelled an attack.
    fn write(&mut self, time_us: i64, out: &mut Vec<u8>) -> Result<bool> {
        let Some((line, fields)) = self.rows.pop_front() else { return Ok(false) };
        if fields.len() != self.columns.len() {
            return Err(Error::data(format!(
                "line {line} of \"{}\" has {} fields, its header {}",
                self.path.display(),
                fields.len(),
                self.columns.len()
            )));
        }
        self.sent += 1;
        let values: Vec<(&str, Option<f64>)> = self
            .columns
            .iter()
            .zip(&fields)
            .filter(|(column, _)| message::is_feature(column))
            .map(|(column, field)| {
                (column.as_str(), field.trim().parse().ok().filter(|number: &f64| number.is_finite()))
            })
            .collect();
        let of = |name: &str| values.iter().find(|(column, _)| *column == name).and_then(|(_, value)| *value);
        let data = of("tcp.ack").or_else(|| of("tcp.seq")).unwrap_or(0.0);
        message::write_reading(out, &self.head, time_us, data.to_string().as_bytes());
        for (index, (column, value)) in values.iter().enumerate() {
            let value = value.map_or_else(|| "null".to_owned(), |value| value.to_string());
            let comma = if index > 0 { "," } else { "" };
            out.extend_from_slice(format!("{comma}{}:{value}", message::json_text(column)).as_bytes());
        }
        message::write_end(out);
        Ok(of("Attack_label") == Some(1.0))
    }
}

/// Fields of one CSV line (RFC 4180, without line ends inside quotes).
fn split_fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    let mut chars = line.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                push(&mut fields, '"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            other => push(&mut fields, other),
        }
    }
    fields
}

fn push(fields: &mut [String], char: char) {
    if let Some(field) = fields.last_mut() {
        field.push(char);
    }
}

/// The rows of one partition of a replay of device files.
#[derive(Debug)]
struct DeviceFeed {
    // fixed at start
    layout: Layout,
    site: u16,
    order_key: u64,
    // changes while running
    /// Devices with rows left.
    devices: Vec<DeviceFile>,
    /// Which of them sends next.
    next: Option<usize>,
    sent: u64,
    device: String,
    tick: u64,
    due_us: i64,
    attack: bool,
    value: Vec<u8>,
}

impl Default for DeviceFeed {
    fn default() -> Self {
        Self {
            layout: Layout { sites: 1, start_us: 0, rate: 1, seed: 0 },
            site: 0,
            order_key: 0,
            devices: Vec::new(),
            next: None,
            sent: 0,
            device: String::new(),
            tick: 0,
            due_us: 0,
            attack: false,
            value: Vec::new(),
        }
    }
}

impl DeviceFeed {
    /// Picks the device that sends next; devices without rows leave.
    fn choose(&mut self) -> Result<Option<usize>> {
        while self.next.is_none() && !self.devices.is_empty() {
            let count = u32::try_from(self.devices.len()).unwrap_or(u32::MAX);
            let at = below(draw(self.order_key, self.sent), count) as usize;
            let has_row = self.devices.get_mut(at).map_or(Ok(false), DeviceFile::has_row)?;
            if has_row {
                self.next = Some(at);
            } else {
                self.devices.swap_remove(at);
            }
        }
        Ok(self.next)
    }

    /// When the next row is due: partitions take turns.
    fn due(&self) -> i64 {
        let sites = u64::from(self.layout.sites.max(1));
        self.layout.due_us(self.sent.saturating_mul(sites).saturating_add(u64::from(self.site)))
    }
}

impl Feed for DeviceFeed {
    fn next_due_us(&mut self) -> Result<Option<i64>> {
        Ok(self.choose()?.map(|_| self.due()))
    }

    fn advance(&mut self) -> Result<bool> {
        let Some(at) = self.choose()? else { return Ok(false) };
        let due_us = self.due();
        self.next = None;
        let Some(device) = self.devices.get_mut(at) else { return Ok(false) };
        self.tick = device.sent;
        self.attack = device.write(due_us, &mut self.value)?;
        self.device.clone_from(&device.name);
        self.due_us = due_us;
        self.sent += 1;
        Ok(true)
    }

    fn row(&self) -> Row<'_> {
        Row {
            device: &self.device,
            value: &self.value,
            event_time_us: self.due_us,
            due_us: self.due_us,
            tick: self.tick,
            anomaly: self.attack.then_some(AnomalyKind::Window),
            repeated: false,
        }
    }

    fn take_labels(&mut self) -> Vec<Label> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests;
