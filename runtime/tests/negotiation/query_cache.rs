//! `QueryCache`.

use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};

use dmashare::negotiation::{FormatSupport, PartyId, Query, QueryCache};
use dmashare::{BufferDesc, Extent, Fourcc, Modifier, Usage};

fn desc() -> BufferDesc {
    BufferDesc::new(
        "asked",
        Extent::new(64, 64),
        Fourcc::XRGB8888,
        Usage::RENDER,
    )
}

fn answer(modifier: u64) -> Vec<FormatSupport> {
    let modifier = Modifier::new(modifier);
    vec![FormatSupport::new(
        Fourcc::XRGB8888,
        modifier,
        Usage::RENDER,
    )]
}

/// Asks, and tells the modifier of the answer and whether the driver was asked.
fn ask(cache: &QueryCache, query: &Query, modifier: u64) -> (u64, bool) {
    let mut was_asked = false;
    let answer = cache.get_or_ask::<()>(query, || {
        was_asked = true;
        Ok(answer(modifier))
    });
    (answer.unwrap()[0].modifier.as_raw(), was_asked)
}

#[test]
fn the_same_is_asked_once() {
    let cache = QueryCache::default();
    let party = PartyId::unique();
    let query = Query::new(party, &desc(), Usage::RENDER);
    assert!(cache.is_empty());
    assert_eq!(ask(&cache, &query, 1), (1, true));
    assert_eq!(ask(&cache, &query, 2), (1, false));
    // The extent and the name are not part of the question.
    let mut other = desc();
    (other.name, other.extent) = ("another".to_owned(), Extent::new(1, 1));
    assert_eq!(
        ask(&cache, &Query::new(party, &other, Usage::RENDER), 3),
        (1, false)
    );
    assert_eq!(cache.len(), 1);
}

#[test]
fn whatever_drivers_answer_by_is_part_of_the_question() {
    let cache = QueryCache::default();
    let party = PartyId::unique();
    let query = Query::new(party, &desc(), Usage::RENDER);
    ask(&cache, &query, 1);
    let (mut viewed, mut srgb, mut protected) = (desc(), desc(), desc());
    viewed.view_formats = vec![Fourcc::ARGB8888];
    srgb.srgb_views = true;
    protected.protected = true;
    let others = [
        Query::new(PartyId::unique(), &desc(), Usage::RENDER),
        Query::new(party, &desc(), Usage::RENDER | Usage::SAMPLE),
        query.clone().with_format(Fourcc::NV12),
        Query::new(party, &viewed, Usage::RENDER),
        Query::new(party, &srgb, Usage::RENDER),
        Query::new(party, &protected, Usage::RENDER),
    ];
    for (modifier, other) in (2..).zip(&others) {
        assert_eq!(ask(&cache, other, modifier), (modifier, true), "{other:?}");
    }
    assert_eq!(cache.len(), 7);
    assert_eq!(ask(&cache, &query, 9), (1, false));
}

#[test]
fn errors_are_not_kept() {
    let cache = QueryCache::default();
    let query = Query::new(PartyId::unique(), &desc(), Usage::RENDER);
    assert_eq!(cache.get_or_ask(&query, || Err("lost")), Err("lost"));
    assert_eq!(ask(&cache, &query, 1), (1, true));
}

#[test]
fn a_hotplug_makes_void_what_one_party_answered() {
    let cache = QueryCache::default();
    // More parties than locks, so that some share one.
    let parties: Vec<_> = (0..40).map(|_| PartyId::unique()).collect();
    let query = |party| Query::new(party, &desc(), Usage::RENDER);
    for party in &parties {
        ask(&cache, &query(*party), 1);
    }
    cache.invalidate(parties[7]);
    for (index, party) in parties.iter().enumerate() {
        let expected = if index == 7 { (2, true) } else { (1, false) };
        assert_eq!(ask(&cache, &query(*party), 2), expected, "{index}");
    }
    cache.clear();
    assert!(cache.is_empty());
    assert_eq!(ask(&cache, &query(parties[0]), 3), (3, true));
}

/// What the driver said before the hotplug is no answer after it.
#[test]
fn an_answer_from_before_is_not_kept() {
    let cache = QueryCache::default();
    let party = PartyId::unique();
    let query = Query::new(party, &desc(), Usage::RENDER);
    let old = cache.get_or_ask::<()>(&query, || {
        cache.invalidate(party);
        Ok(answer(1))
    });
    assert_eq!(old.unwrap()[0].modifier.as_raw(), 1);
    assert!(cache.is_empty());
    let old = cache.get_or_ask::<()>(&query, || {
        cache.clear();
        Ok(answer(1))
    });
    assert!(old.is_ok() && cache.is_empty());
    assert_eq!(ask(&cache, &query, 2), (2, true));
}

#[test]
fn it_does_not_grow_without_bound() {
    let cache = QueryCache::new(32);
    let party = PartyId::unique();
    for code in 0..1000 {
        let query = Query::new(party, &desc(), Usage::RENDER).with_format(Fourcc::new(code));
        ask(&cache, &query, u64::from(code));
        assert!(cache.len() <= 32);
        assert_eq!(ask(&cache, &query, 0), (u64::from(code), false));
    }
}

/// Nothing is locked while a driver is asked: two threads are inside at once, and a third looks
/// something up meanwhile.
#[test]
fn nobody_waits_for_a_driver_that_another_asks() {
    let cache = QueryCache::default();
    let party = PartyId::unique();
    let query = Query::new(party, &desc(), Usage::RENDER);
    let known = query.clone().with_format(Fourcc::NV12);
    ask(&cache, &known, 7);
    let (inside, looked_up) = (Barrier::new(3), Barrier::new(3));
    let asked = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let threads = [1, 2].map(|modifier| {
            let (cache, query, asked) = (&cache, &query, &asked);
            let (inside, looked_up) = (&inside, &looked_up);
            scope.spawn(move || {
                let answer = cache.get_or_ask::<()>(query, || {
                    asked.fetch_add(1, Ordering::SeqCst);
                    inside.wait();
                    looked_up.wait();
                    Ok(answer(modifier))
                });
                answer.unwrap()[0].modifier
            })
        });
        inside.wait();
        assert_eq!(ask(&cache, &known, 8), (7, false));
        looked_up.wait();
        let [one, other] = threads.map(|thread| thread.join().unwrap());
        assert_eq!(one, other, "one answer stays");
    });
    assert_eq!((asked.into_inner(), cache.len()), (2, 2));
}
