#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| rvmb_fuzz::config(text));
