//! Lanes, runs, leaders, positions: the core. Pure: events in, actions out.
