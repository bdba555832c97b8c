//! Requests on their way to the servers, and what the servers do with them.

use crate::deadly::{dead_writer, deadly};
use crate::model::{Request, Response};
use crate::server::{Call, CallId, End, Fate, Health, Purpose};
use crate::world::{Happening, World};

impl World {
    /// Sends a request to a server; its end comes back as a [`Happening::Ended`].
    pub(crate) fn call(&mut self, server: usize, request: Request, purpose: Purpose) {
        let id = CallId(self.next_call());
        let there = &self.servers[server];
        let refused = there.health == Health::Dead || there.verified != Some(there.epoch);
        let epoch = there.epoch;
        assert!(
            refused || !there.lost_state,
            "I4: {request:?} goes to server {server}, which lost its state"
        );
        self.trace(|_| format!("     call {} to {server}: {request:?}", id.0));
        let fate = self.fate(&request);
        let call = Call { server, epoch, request, purpose, fate, logged: false, response: None };
        self.calls.insert(id, call);
        let delay_ms = self.step_ms();
        let next = if refused { Happening::Ended(id, End::Refused) } else { Happening::Arrive(id) };
        self.after(delay_ms, next);
    }

    fn next_call(&mut self) -> u64 {
        self.count("calls");
        self.counters["calls"]
    }

    fn step_ms(&mut self) -> u64 {
        self.random.u64(..=self.plan.step_ms)
    }

    fn fate(&mut self, request: &Request) -> Fate {
        let lost = self.plan.lost_percent;
        if self.healed || !self.chance(lost) {
            return Fate::Answered;
        }
        match self.random.u8(..11) {
            0..2 => Fate::NeverArrives,
            2 => Fate::Abandoned,
            3..5 => Fate::Logged,
            5..7 => Fate::Executed,
            7..10 => Fate::Late,
            _ if request.queue().is_some() && self.plan.indefinite => Fate::Indefinite,
            _ => Fate::NeverArrives,
        }
    }

    /// True where the call can go on now; a hung server keeps it for later.
    fn goes_on(&mut self, id: CallId, shown: bool) -> bool {
        let Some(call) = self.calls.get(&id) else {
            return false;
        };
        let server = &mut self.servers[call.server];
        match server.health {
            Health::Running => server.epoch == call.epoch,
            Health::Hung => {
                server.stalled.push((id, shown));
                false
            }
            Health::Dead => false,
        }
    }

    /// The server reads the request.
    pub(crate) fn arrive(&mut self, id: CallId) {
        if !self.goes_on(id, false) {
            return;
        }
        let Some(call) = self.calls.get(&id) else {
            return;
        };
        if matches!(call.fate, Fate::Answered | Fate::Executed | Fate::Indefinite | Fate::Logged) {
            let (server, request) = (call.server, call.request.clone());
            match self.wound(server, &request) {
                Ok(()) => {}
                Err(None) => return,
                Err(Some(answer)) => {
                    let delay_ms = self.step_ms();
                    return self.after(delay_ms, Happening::Ended(id, End::Answered(answer)));
                }
            }
        }
        let Some(call) = self.calls.get_mut(&id) else {
            return;
        };
        let server = &mut self.servers[call.server];
        let slow_ms = if call.request.queue().is_some() { server.slow_ms } else { 0 };
        let lost = match call.fate {
            Fate::NeverArrives | Fate::Late => true,
            Fate::Abandoned => {
                server.model.abandon(&call.request);
                true
            }
            Fate::Logged => {
                server.model.log(&call.request);
                true
            }
            Fate::Answered | Fate::Executed | Fate::Indefinite => {
                call.response = Some(server.model.log(&call.request));
                call.logged = true;
                false
            }
        };
        let delay_ms = slow_ms + self.step_ms();
        let next = if lost { Happening::Ended(id, End::Lost) } else { Happening::Show(id) };
        self.after(delay_ms, next);
    }

    /// What the request wrote becomes visible.
    pub(crate) fn show(&mut self, id: CallId) {
        if !self.goes_on(id, true) {
            return;
        }
        let Some(call) = self.calls.get_mut(&id) else {
            return;
        };
        let server = &mut self.servers[call.server];
        let queue = call.request.queue();
        let accepted = call.response.as_ref().is_some_and(|response| !response.is_refused());
        let end = match (queue, call.fate) {
            (Some(_), _) if server.writer_dead && accepted => End::Answered(dead_writer()),
            (Some(id), _) if accepted && let Some(error) = server.model.index_error(id) => {
                End::Answered(error)
            }
            (Some(_), Fate::Indefinite) if accepted => {
                End::Answered(Response::refused(500, "Error in compaction"))
            }
            (queue, fate) => {
                if let Some(collection) = queue {
                    server.model.show(collection);
                }
                match call.response.take() {
                    Some(response) if fate != Fate::Executed => End::Answered(response),
                    _ => End::Lost,
                }
            }
        };
        let delay_ms = self.step_ms();
        self.after(delay_ms, Happening::Ended(id, end));
    }

    /// The caller learns how its request ended.
    pub(crate) fn call_ended(&mut self, id: CallId, end: End) {
        let Some(call) = self.calls.remove(&id) else {
            return;
        };
        self.trace(|_| format!("     call {} ends: {end:?}", id.0));
        if let End::Lost = end {
            self.lost(&call);
        }
        match call.purpose {
            Purpose::Courier(delivery) => self.courier_goes_on(delivery, end),
            Purpose::Read(read) => self.read_answered(read, call.server, end),
        }
    }

    /// A connection is gone, and Isochrome knows.
    fn lost(&mut self, call: &Call) {
        self.count("lost");
        let there = &self.servers[call.server];
        if call.fate == Fate::Late && there.epoch == call.epoch && there.health != Health::Dead {
            self.later(call);
        }
    }

    /// The server will execute the request, though nobody waits for the answer.
    fn later(&mut self, call: &Call) {
        if deadly(&call.request).is_some() {
            return;
        }
        let there = &mut self.servers[call.server];
        there.given_up += 1;
        there.late.push((there.given_up, call.request.clone()));
        let delay_ms = self.random.u64(..3_000);
        self.after(delay_ms, Happening::Settle(call.server));
    }

    /// The server's process is gone, and with it every connection.
    pub(crate) fn break_connections(&mut self, server: usize) {
        for id in self.calls_to(server) {
            let delay_ms = self.step_ms();
            self.after(delay_ms, Happening::Ended(id, End::Lost));
        }
    }

    /// Some connections to a server that does not move end on the way.
    pub(crate) fn give_up(&mut self, server: usize) {
        for id in self.calls_to(server) {
            if self.chance(30) {
                self.calls.entry(id).and_modify(|call| {
                    call.fate = if call.logged { Fate::Executed } else { Fate::Late };
                });
                let delay_ms = self.step_ms();
                self.after(delay_ms, Happening::Ended(id, End::Lost));
            }
        }
    }

    fn calls_to(&self, server: usize) -> Vec<CallId> {
        self.calls.iter().filter(|(_, call)| call.server == server).map(|(id, _)| *id).collect()
    }

    /// Isochrome died: nobody waits for the answers. Each request was not executed, or is, now or later.
    pub(crate) fn orphan_calls(&mut self) {
        for call in std::mem::take(&mut self.calls).into_values() {
            let server = &mut self.servers[call.server];
            if server.epoch != call.epoch || server.health == Health::Dead {
                continue;
            }
            match (self.random.u8(..4), call.logged) {
                (0, true) => call.request.queue().into_iter().for_each(|id| server.model.show(id)),
                (0, false) if server.health == Health::Running => server.model.abandon(&call.request),
                (1, false) => self.later(&call),
                _ => {}
            }
        }
    }
}
