//! A change costs what it touches, however much there is.

use std::time::Instant;

use super::*;

const SERVICES: usize = 10_000;
const ENDPOINTS: usize = 10;

fn name(number: usize) -> String {
    format!("ns{}/s{number}", number % 100)
}

fn endpoints(number: usize, first: usize) -> Vec<Value> {
    let ip = |n: usize| {
        let n = number * ENDPOINTS + n;
        format!("10.{}.{}.{}", 64 + n / 62_500, n / 250 % 250, 1 + n % 250)
    };
    let endpoint = |n: usize| at(&ip(n), &format!("n{}", n % 100));
    (first..first + ENDPOINTS).map(endpoint).collect()
}

fn slice_of(number: usize, first: usize) -> Event {
    let name = name(number);
    let (_, service) = name.split_once('/').expect("a name");
    slice(&format!("{name}-1"), service, &endpoints(number, first))
}

#[test]
fn many_services() {
    let mut services = Vec::new();
    let mut slices = Vec::new();
    for number in 0..SERVICES {
        let ip = format!(
            "10.{}.{}.{}",
            96 + number / 62_500,
            number / 250 % 250,
            1 + number % 250
        );
        for (event, list) in [
            (service(&name(number), &ip, json!({})), &mut services),
            (slice_of(number, 0), &mut slices),
        ] {
            let Event::Set(object) = event else {
                panic!("{event:?}");
            };
            list.push(object);
        }
    }
    let mut index = index();
    let start = Instant::now();
    let update = index.apply(vec![
        Event::Listed(Kind::Service, services),
        Event::Listed(Kind::EndpointSlice, slices),
    ]);
    let loaded = start.elapsed();
    assert_eq!(update.joined.len(), SERVICES);
    assert_eq!(index.endpoint_count(), SERVICES * ENDPOINTS);
    let start = Instant::now();
    let changes = 1000;
    for number in 0..changes {
        let update = index.apply(vec![slice_of(number, 1)]);
        assert_eq!(update.joined.len(), 1, "one Service is touched");
    }
    let each = start.elapsed() / u32::try_from(changes).expect("few");
    println!(
        "{SERVICES} Services x {ENDPOINTS} endpoints joined in {loaded:?}, then {each:?} for a change"
    );
}
