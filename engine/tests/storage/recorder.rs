//! Keeps what the engine counts, in the order in which it does.

use std::sync::{Arc, Mutex};

use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit,
};

/// What was counted: the metric, its label, and the value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Event {
    pub(crate) metric: String,
    pub(crate) label: String,
    pub(crate) value: f64,
}

/// Keeps all events of the thread on which it is installed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Events(Arc<Mutex<Vec<Event>>>);

impl Events {
    pub(crate) fn of(&self, metric: &str) -> Vec<Event> {
        self.0.lock().unwrap().iter().filter(|event| event.metric == metric).cloned().collect()
    }

    pub(crate) fn clear(&self) {
        self.0.lock().unwrap().clear();
    }

    fn handle(&self, key: &Key) -> Arc<Handle> {
        let label = key.labels().map(|label| label.value()).collect::<Vec<_>>().join(",");
        Arc::new(Handle { events: self.clone(), metric: key.name().to_owned(), label })
    }
}

struct Handle {
    events: Events,
    metric: String,
    label: String,
}

impl Handle {
    fn note(&self, value: f64) {
        let event = Event { metric: self.metric.clone(), label: self.label.clone(), value };
        self.events.0.lock().unwrap().push(event);
    }
}

impl CounterFn for Handle {
    fn increment(&self, value: u64) {
        self.note(value as f64);
    }
    fn absolute(&self, value: u64) {
        self.note(value as f64);
    }
}

impl GaugeFn for Handle {
    fn increment(&self, value: f64) {
        self.note(value);
    }
    fn decrement(&self, value: f64) {
        self.note(-value);
    }
    fn set(&self, value: f64) {
        self.note(value);
    }
}

impl HistogramFn for Handle {
    fn record(&self, value: f64) {
        self.note(value);
    }
}

impl Recorder for Events {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.handle(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.handle(key))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.handle(key))
    }
}
