//! Logs in on the serial console, as a person would: name, password, a command, its answer.

use std::time::{Duration, Instant};

use super::console::Console;
use super::report::Outcome;

/// What the shell is told; what it echoes does not contain what it answers.
const COMMAND: &str = "printf 'rvmb-%s:%s\\n' user \"$(id -un)\"\n";
/// What the answer begins with.
const ANSWER: &str = "rvmb-user:";
/// How long nothing may happen before the last step is made again: a message of the kernel may have
/// written over a prompt, and the shell of a first login may have read the command as something else.
const AGAIN: Duration = Duration::from_secs(6);
/// How long the password is checked, at least; what is typed meanwhile would be thrown away.
const SETTLE: Duration = Duration::from_secs(2);
/// How long a prompt for a name stands before it means that a password was refused: the first half of
/// `Last login: Mon Nov 23` looks like one.
const STEADY: Duration = Duration::from_secs(1);
/// How long it may take altogether.
const LIMIT: Duration = Duration::from_secs(150);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Name,
    Password,
    Shell,
}

/// A login in progress.
pub struct Login {
    user: String,
    password: String,
    state: State,
    begun: Instant,
    acted: Option<Instant>,
    refused: u32,
    /// The line that is not ended, and since when it is what it is.
    prompt: String,
    since: Instant,
}

/// What is to be done next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// Wait for the guest.
    Wait,
    /// Type this.
    Type(String),
    /// It is over.
    Over(Outcome, String),
}

impl Login {
    /// A login of `user` that begins at `now`.
    pub fn new(user: String, password: String, now: Instant) -> Self {
        Login {
            user,
            password,
            state: State::Name,
            begun: now,
            acted: None,
            refused: 0,
            prompt: String::new(),
            since: now,
        }
    }

    /// Looks at the console, of which `fresh` lines are new, and decides.
    pub fn step(&mut self, console: &Console, fresh: &[String], now: Instant) -> Next {
        if let Some(answer) = fresh.iter().find_map(|line| line.trim().strip_prefix(ANSWER)) {
            return if answer == self.user {
                Next::Over(Outcome::Ok, format!("{} logged in on the serial console", self.user))
            } else {
                Next::Over(
                    Outcome::Failed,
                    format!("logged in as {}, and the shell runs as {answer}", self.user),
                )
            };
        }
        if self.prompt != console.partial() {
            self.prompt = console.partial();
            self.since = now;
        }
        // The words of a refusal are in the guest's language; asking for a name again is not.
        let steady = now.duration_since(self.since) >= STEADY;
        if self.state == State::Shell && steady && asks_for_name(&self.prompt) {
            self.refused += 1;
            self.state = State::Name;
            if self.refused == 2 {
                return Next::Over(Outcome::Failed, format!("the password of {} was refused", self.user));
            }
        }
        if now.duration_since(self.begun) > LIMIT {
            let last = console.last();
            return Next::Over(
                Outcome::Failed,
                format!("no login within {} s; the console says: {last}", LIMIT.as_secs()),
            );
        }
        self.act(&console.partial(), now)
    }

    fn act(&mut self, prompt: &str, now: Instant) -> Next {
        let quiet = now.duration_since(self.acted.unwrap_or(self.begun));
        let typed = match self.state {
            State::Name if asks_for_name(prompt) => {
                self.state = State::Password;
                format!("{}\n", self.user)
            }
            State::Password if asks_for_password(prompt) => {
                self.state = State::Shell;
                format!("{}\n", self.password)
            }
            // Still at the first prompt: the name was not read.
            State::Password if quiet > AGAIN && asks_for_name(prompt) => format!("{}\n", self.user),
            State::Shell if quiet > AGAIN || (quiet > SETTLE && prompt.ends_with(['$', '#', '%'])) => {
                COMMAND.to_owned()
            }
            // An empty line makes getty and login show their prompts anew.
            State::Name | State::Password if quiet > AGAIN => {
                self.state = State::Name;
                "\n".to_owned()
            }
            _ => return Next::Wait,
        };
        self.acted = Some(now);
        Next::Type(typed)
    }
}

/// getty asks in English, login(1) in the guest's language: `debian login:`, `debian Login:`.
fn asks_for_name(prompt: &str) -> bool {
    prompt.to_lowercase().ends_with("login:")
}

/// In any language: `Password:`, `Passwort:`.
fn asks_for_password(prompt: &str) -> bool {
    prompt.ends_with(':') && !asks_for_name(prompt)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A console, a login and a clock.
    struct Scene {
        console: Console,
        login: Login,
        now: Instant,
    }

    impl Scene {
        fn new() -> Self {
            let now = Instant::now();
            let mut console = Console::new();
            console.feed(b"Debian GNU/Linux 13 vm ttyS0\r\n\r\nvm login: ");
            Scene { console, login: Login::new("bob".to_owned(), "secret".to_owned(), now), now }
        }

        fn step(&mut self, bytes: &[u8], seconds: u64) -> Next {
            self.now += Duration::from_secs(seconds);
            self.console.feed(bytes);
            let fresh = self.console.take_fresh();
            self.login.step(&self.console, &fresh, self.now)
        }
    }

    fn typed(text: &str) -> Next {
        Next::Type(text.to_owned())
    }

    #[test]
    fn a_user_logs_in() {
        let mut scene = Scene::new();
        assert_eq!(scene.step(b"", 0), typed("bob\n"));
        assert_eq!(scene.step(b"bob\r\n", 1), Next::Wait);
        assert_eq!(scene.step(b"Password: ", 1), typed("secret\n"));
        assert_eq!(scene.step(b"\r\nLast login: never\r\n", 1), Next::Wait);
        assert_eq!(scene.step(b"\x1b[?2004hbob@vm:~$ ", 2), typed(COMMAND));
        assert_eq!(scene.step(COMMAND.replace('\n', "\r\n").as_bytes(), 1), Next::Wait);
        let over = Next::Over(Outcome::Ok, "bob logged in on the serial console".to_owned());
        assert_eq!(scene.step(b"\x1b[?2004l\rrvmb-user:bob\r\n", 1), over);
    }

    #[test]
    fn a_refused_password_fails_after_the_second_time() {
        let mut scene = Scene::new();
        assert_eq!(scene.step(b"", 0), typed("bob\n"));
        assert_eq!(scene.step(b"bob\r\nPassword: ", 1), typed("secret\n"));
        assert_eq!(scene.step(b"\r\nLogin incorrect\r\nvm login: ", 3), Next::Wait);
        assert_eq!(scene.step(b"", 1), typed("bob\n"));
        assert_eq!(scene.step(b"bob\r\nPassword: ", 1), typed("secret\n"));
        let over = Next::Over(Outcome::Failed, "the password of bob was refused".to_owned());
        assert_eq!(scene.step(b"\r\nLogin incorrect\r\nvm login: ", 3), Next::Wait);
        assert_eq!(scene.step(b"", 1), over);
    }

    #[test]
    fn half_a_line_about_logins_is_no_refusal() {
        let mut scene = Scene::new();
        assert_eq!(scene.step(b"", 0), typed("bob\n"));
        assert_eq!(scene.step(b"bob\r\nPassword: ", 1), typed("secret\n"));
        assert_eq!(scene.step(b"\r\nLast login:", 3), Next::Wait);
        assert_eq!(scene.step(b" Mon Nov 23 on ttyS0\r\nbob@vm:~$ ", 0), typed(COMMAND));
        let over = Next::Over(Outcome::Ok, "bob logged in on the serial console".to_owned());
        assert_eq!(scene.step(b"\r\nrvmb-user:bob\r\n", 1), over);
    }

    #[test]
    fn a_prompt_that_was_written_over_is_asked_for_again() {
        let mut scene = Scene::new();
        scene.console.feed(b"[   12.3] random: crng init done");
        assert_eq!(scene.step(b"", 0), Next::Wait);
        assert_eq!(scene.step(b"", 7), typed("\n"));
        assert_eq!(scene.step(b"\r\nvm login: ", 1), typed("bob\n"));
    }

    #[test]
    fn silence_ends_it() {
        let mut scene = Scene::new();
        assert_eq!(scene.step(b"", 0), typed("bob\n"));
        let Next::Over(Outcome::Failed, text) = scene.step(b"bob\r\n", 151) else { panic!() };
        assert_eq!(text, "no login within 150 s; the console says: vm login: bob");
    }
}
