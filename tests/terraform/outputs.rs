//! Outputs arrive as they were written.

use serde_json::{Value, json};

use crate::config::cloud;
use crate::setup::Setup;

const OUTPUTS: &str = r#"
resource "terraform_data" "shape" {
  input = {
    name   = "web"
    ports  = toset(["443", "80"])
    nested = { deep = [1, true, null] }
  }
}
output "shape" {
  value = terraform_data.shape.output
}
output "zones" {
  value = toset(["b", "a"])
}
output "nothing" {
  value = null
}
output "serial" {
  # One more than a double can count exactly.
  value = 9007199254740993
}
output "password" {
  value     = "hunter2-${terraform_data.shape.output.name}"
  sensitive = true
}
"#;

pub(crate) async fn outputs_of_every_shape_arrive_unchanged(setup: &Setup) {
    let server = setup.start();
    let module = setup.workdir(&server).await;
    module.write("main.tf", &(cloud(&server, "name = \"outputs\"") + OUTPUTS));
    module.init();
    module.apply();

    let outputs = module.run(&["output", "-json"]).ok();
    let all = outputs.json();
    assert_eq!(
        all["shape"]["value"],
        json!({"name": "web", "ports": ["443", "80"], "nested": {"deep": [1, true, null]}})
    );
    assert_eq!(all["zones"], json!({"sensitive": false, "type": ["set", "string"], "value": ["a", "b"]}));
    assert_eq!(all["password"], json!({"sensitive": true, "type": "string", "value": "hunter2-web"}));
    assert!(
        outputs.stdout.contains("9007199254740993"),
        "no digit of a big number is lost:\n{}",
        outputs.stdout
    );
}

pub(crate) async fn a_sensitive_output_is_masked_in_the_list_and_given_when_asked_for(setup: &Setup) {
    let server = setup.start();
    let module = setup.workdir(&server).await;
    module.write("main.tf", &(cloud(&server, "name = \"outputs\"") + OUTPUTS));
    module.init();
    module.apply();

    let list = module.run(&["output"]).ok();
    assert!(list.stdout.contains("password = <sensitive>"), "{}", list.stdout);
    assert!(!list.stdout.contains("hunter2"), "{}", list.stdout);
    assert_eq!(module.output("password"), "hunter2-web");
    assert!(!server.output().contains("hunter2"), "state is never logged");
}

pub(crate) async fn outputs_before_the_first_apply_are_none_and_no_error(setup: &Setup) {
    let server = setup.start();
    let module = setup.workdir(&server).await;
    module.write("main.tf", &(cloud(&server, "name = \"fresh\"") + OUTPUTS));
    module.init();

    assert_eq!(module.run(&["output", "-json"]).ok().json(), json!({}));
}

/// How many outputs there are of each kind.
const OF_EACH: usize = 15;

/// A kind of output: its name, its expression, whether it is sensitive, its type and its value.
fn kinds(i: usize) -> [(&'static str, String, bool, Value, Value); 10] {
    let big = 9_007_199_254_740_993_u64 + i as u64;
    [
        (
            "text",
            format!("\"text {i} \\\"quoted\\\" ä\\n\""),
            false,
            json!("string"),
            json!(format!("text {i} \"quoted\" ä\n")),
        ),
        ("big", big.to_string(), false, json!("number"), json!(big)),
        ("flag", i.is_multiple_of(2).to_string(), false, json!("bool"), json!(i.is_multiple_of(2))),
        (
            "objects",
            format!("toset([{{ n = {i} }}])"),
            false,
            json!(["set", ["object", {"n": "number"}]]),
            json!([{"n": i}]),
        ),
        (
            "list",
            format!("tolist([\"a\", \"{i}\"])"),
            false,
            json!(["list", "string"]),
            json!(["a", i.to_string()]),
        ),
        ("set", "toset([\"b\", \"a\", \"b\"])".into(), false, json!(["set", "string"]), json!(["a", "b"])),
        (
            "map",
            format!("tomap({{ \"k@{i}\" = {i} }})"),
            false,
            json!(["map", "number"]),
            json!({format!("k@{i}"): i}),
        ),
        (
            "tuple",
            format!("[{i}, \"x\", null]"),
            false,
            json!(["tuple", ["number", "string", "dynamic"]]),
            json!([i, "x", null]),
        ),
        (
            "object",
            format!("{{ deep = {{ list = [{{ n = {i} }}, null], on = true }}, none = null }}"),
            false,
            json!(["object", {
                "deep": ["object", {"list": ["tuple", [["object", {"n": "number"}], "dynamic"]], "on": "bool"}],
                "none": "dynamic",
            }]),
            json!({"deep": {"list": [{"n": i}, null], "on": true}, "none": null}),
        ),
        (
            "secret",
            format!("{{ password = \"hunter{i}\" }}"),
            true,
            json!(["object", {"password": "string"}]),
            json!({"password": format!("hunter{i}")}),
        ),
    ]
}

/// The block of one output.
fn output(name: &str, expression: &str, sensitive: bool) -> String {
    format!("output \"{name}\" {{\n  value = {expression}\n  sensitive = {sensitive}\n}}\n")
}

pub(crate) async fn a_hundred_and_fifty_outputs_of_every_type_are_what_was_applied(setup: &Setup) {
    let server = setup.start();
    let module = setup.workdir(&server).await;
    let (mut text, mut expected) = (cloud(&server, "name = \"many\""), serde_json::Map::new());
    for i in 0..OF_EACH {
        for (kind, expression, sensitive, of_type, value) in kinds(i) {
            let name = format!("{kind}_{i}");
            text += &output(&name, &expression, sensitive);
            expected.insert(name, json!({"sensitive": sensitive, "type": of_type, "value": value}));
        }
    }
    assert_eq!(expected.len(), 150);
    // Terraform does not keep an output that is null.
    text += &output("nothing", "null", false);
    module.write("main.tf", &text);
    module.init();
    module.apply();

    let outputs = module.run(&["output", "-json"]).ok().json();
    assert_eq!(outputs.as_object().map(serde_json::Map::len), Some(expected.len()));
    for (name, expected) in &expected {
        assert_eq!(&outputs[name], expected, "{name}");
    }
    module.expect_plan(false);
}
