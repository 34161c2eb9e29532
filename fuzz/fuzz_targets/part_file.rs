#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| rvmb_fuzz::read_part_file(text));
