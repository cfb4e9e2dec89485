//! Scripts in, statements and errors out.
use super::*;

#[test]
fn parity_corpus() {
    let Ok(dir) = std::fs::read_dir("/work/shared/flink_parity/cases") else { return };
    let (mut ok, mut bad) = (0, 0);
    for entry in dir {
        let path = entry.unwrap().path().join("query.sql");
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        let (_, errors) = parse_script(&text, &|_| None);
        if errors.is_empty() { ok += 1 } else { bad += 1; 
            eprintln!("{}", path.display());
            for e in errors { eprintln!("   {:?} {e}", e.span()); } }
    }
    eprintln!("ok {ok} bad {bad}");
}
