//! What is handled before tasks: orders of the client and of an operator, and the pause for a backup.

use super::{Coordinator, SELF, TICK, is_stopping};
use crate::bus::events::EventKind;
use crate::bus::ring::{Consumer, Record};
use crate::bus::sync::Ordering;
use crate::os::clock::now_ns;
use crate::os::identity::Identity;
use crate::plan::lease::State;
use crate::wire::{AnswerStatus, CONTROL, ControlHeader, Order, TaskHeader, TaskKind};
use std::collections::HashSet;
use zerocopy::FromBytes;

impl Coordinator {
    pub(super) fn take_orders(&mut self, record: &mut Record) {
        for (ring, from) in [Self::client_control, Self::operator_control].into_iter().enumerate() {
            if self.orders_broken[ring] {
                continue;
            }
            // No more than a ring holds, so that tasks get their turn.
            for _ in 0..64 {
                match from(self).pop(record) {
                    Ok(true) if record.kind == CONTROL => {}
                    Ok(false) => break,
                    // Invalid: the ring is not read any more, nor waited for. A lost order costs no task.
                    Ok(true) | Err(_) => {
                        self.orders_broken[ring] = true;
                        break;
                    }
                }
                let order = ControlHeader::read_from_bytes(&record.header)
                    .expect("`wire` asserts that every header has `HEADER` bytes");
                self.carry_out(&order, record);
                from(self).acknowledge();
            }
        }
        while let Some(letter) = self.to_revive.front().copied() {
            if !self.revive(letter) {
                break;
            }
            self.to_revive.pop_front();
        }
        self.publish_tasks();
    }

    fn client_control(&mut self) -> &mut Consumer {
        &mut self.from_client_control
    }

    fn operator_control(&mut self) -> &mut Consumer {
        &mut self.from_operator
    }

    fn carry_out(&mut self, order: &ControlHeader, record: &mut Record) {
        let (id, all) = (order.id, order.all != 0);
        match Order::from_raw(order.order) {
            Some(Order::Cancel) => {
                // It may have overtaken its task.
                self.take_tasks(record);
                self.cancel(|task| all || task.id == id);
            }
            Some(Order::End) => {
                self.take_tasks(record);
                self.end(|task| all || task.id == id, record);
            }
            Some(Order::Revive) => self.to_revive.extend(self.matching_dead_letters(id, all)),
            Some(Order::Drop) => {
                for letter in self.matching_dead_letters(id, all) {
                    self.drop_dead_letter(letter);
                }
            }
            None => {}
        }
    }

    fn cancel(&mut self, is_meant: impl Fn(&TaskHeader) -> bool) {
        let matching: Vec<_> = self.table.open().filter(|(_, _, task)| is_meant(task)).collect();
        for (entry, word, task) in matching {
            let worker = u32::from(word.worker());
            self.events.write(now_ns(), EventKind::Cancelled, worker, &cancelled_details(&task));
            self.fail(entry, AnswerStatus::Cancelled);
            // Woken, it sees in the table that the task is not leased to it any more.
            if word.state() == Some(State::Leased) && (worker as usize) < self.links.len() {
                self.region.worker(worker).bell.wake();
            }
        }
    }

    /// As [`Self::cancel`], but the workers of commands that are running answer once these have ended.
    fn end(&mut self, is_meant: impl Fn(&TaskHeader) -> bool, record: &mut Record) {
        let matching: Vec<_> = self.table.open().filter(|(_, _, task)| is_meant(task)).collect();
        let (all, mut asked) = (matching.len(), HashSet::new());
        for (entry, word, task) in matching {
            let is_command =
                matches!(TaskKind::from_raw(task.kind), Some(TaskKind::Exec | TaskKind::Command));
            if !is_command || !self.was_in_hand(word, &task) {
                continue;
            }
            let worker = u32::from(word.worker());
            if !task.is_ending() {
                self.events.write(now_ns(), EventKind::Cancelled, worker, &cancelled_details(&task));
                self.table.ask_to_end(entry);
            }
            self.region.worker(worker).bell.wake();
            asked.insert(task.id);
        }
        if asked.len() < all {
            // A worker puts a task out of its hand when its answer is there.
            self.take_answers(record);
            self.cancel(|task| is_meant(task) && !asked.contains(&task.id));
        }
    }

    /// The pause that an operator has ordered and this coordinator has not begun yet.
    pub(super) fn pause_wanted(&self) -> Option<u32> {
        let ticket = self.control.orders().pause.load(Ordering::Acquire);
        (ticket != 0).then_some(ticket)
    }

    /// Takes everything that the client has sent into the table, then changes nothing as long as the operator who ordered
    /// the pause lives and wants it.
    pub(super) fn pause(&mut self, ticket: u32, record: &mut Record) {
        self.take_tasks(record);
        self.take_answers(record);
        self.report_outcomes();
        let (orders, own) = (self.control.orders(), &self.control.coordinator(self.index).own);
        let operator = Identity {
            pid: orders.pause_pid.load(Ordering::Relaxed),
            start_ticks: orders.pause_start.load(Ordering::Relaxed),
        };
        let began = now_ns();
        own.paused.store(ticket, Ordering::Release);
        while orders.pause.load(Ordering::Acquire) == ticket
            && !is_stopping(self.control)
            && !self.peers.has_lost_its_supervisor()
        {
            if operator.is_gone() {
                // The first coordinator to notice ends the pause; another operator's order stays.
                let _ = orders.pause.compare_exchange(ticket, 0, Ordering::AcqRel, Ordering::Relaxed);
                break;
            }
            super::add(&own.beat);
            let control = self.control;
            // A worker that ends meanwhile is handled after the pause.
            self.bell.wait(TICK, || orders.pause.load(Ordering::Acquire) != ticket || is_stopping(control));
        }
        own.paused.store(0, Ordering::Release);
        self.events.write(now_ns(), EventKind::Paused, SELF, &[now_ns().saturating_sub(began)]);
    }
}

fn cancelled_details(task: &TaskHeader) -> [u64; 2] {
    [task.id.sequence, task.id.sender.into()]
}
