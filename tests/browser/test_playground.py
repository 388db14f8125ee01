"""The page that `unblank serve` opens, used in a real browser as a person would."""

import json
import os
import re

import pytest

expect = pytest.importorskip("playwright.sync_api").expect

TEXT = "the cat [MASK] on a mat, so the [MASK] ran."


def write(page, text):
    page.fill("#text", text)


def fill(page, text=TEXT):
    write(page, text)
    page.click("#run")
    done(page)


def done(page):
    """Wait until the status says how long it took."""
    expect(page.locator("#status")).to_have_text(re.compile(r"^[0-9.]+ s$"))


def blanks(page):
    return page.locator("#result .fill > button")


def test_the_library_fills_the_same_words(page, toy_result):
    fill(page)
    shown = [blanks(page).nth(number).inner_text().strip() for number in range(2)]
    assert shown == [blank.text.strip() for blank in toy_result(TEXT).blanks]


def test_tokens_appear_one_after_another(page):
    page.evaluate(
        "window.lengths = []; new MutationObserver(() =>"
        " window.lengths.push(document.querySelectorAll('.token').length))"
        ".observe(document.getElementById('result'), { childList: true })"
    )
    fill(page)
    lengths = page.evaluate("window.lengths")
    assert len(set(lengths)) > 2
    assert lengths == sorted(lengths)


def test_selected_words_become_a_blank_by_button_and_by_key(page):
    write(page, "the cat sat on a mat")
    page.evaluate("document.getElementById('text').setSelectionRange(8, 12)")
    page.click("#make-blank")
    assert page.input_value("#text") == "the cat [MASK] on a mat"
    page.evaluate("document.getElementById('text').setSelectionRange(19, 19)")
    page.focus("#text")
    page.keyboard.press("Control+b")
    assert page.input_value("#text") == "the cat [MASK] on [MASK] mat"


def test_a_text_without_a_blank_is_not_sent_to_be_seen(page):
    sent = []
    page.on("request", lambda request: sent.append(request.url))
    write(page, "the cat sat")
    page.locator("#view tr").first.wait_for(state="detached")
    page.wait_for_timeout(500)
    assert not any("view" in url for url in sent)
    assert "blank" in page.inner_text("#view-summary")


def test_a_blank_shows_alternatives_and_is_pinned(page):
    fill(page)
    blanks(page).first.click()
    items = page.locator("[role=menuitem]")
    assert items.count() >= 2
    assert all(re.search(r"\d %$", text.strip()) for text in items.all_inner_texts())
    other = items.nth(1).locator("span").first.inner_text()
    items.nth(1).click()
    assert blanks(page).first.inner_text().strip() == other.strip()
    assert blanks(page).first.get_attribute("data-pinned") == "true"
    sent = []
    page.on("request", lambda request: sent.append(request.post_data_json or {}))
    page.click("#refill")
    done(page)
    filled = [body for body in sent if body.get("stream")]
    assert [body["text"].count("[MASK]") for body in filled] == [1]
    assert other.strip() in filled[0]["text"]
    assert blanks(page).first.inner_text().strip() == other.strip()
    page.click("#unpin")
    assert page.locator("[data-pinned=true]").count() == 0


def test_blanks_are_filled_in_the_order_asked_for(page):
    page.click("summary")
    page.fill("#order", "2 1")
    sent = []
    page.on("request", lambda request: sent.append(request.post_data_json or {}))
    fill(page)
    assert [body["order"] for body in sent if body.get("stream")] == [[1, 0]]
    page.fill("#order", "1 3")
    page.click("#run")
    assert "each open blank once" in page.inner_text("#problem")


def test_rules_hold_on_the_blanks_that_they_name(page):
    page.click("summary >> text=Rules")
    write(page, TEXT)
    page.select_option("#rule-blank", label="2")
    page.select_option("#rule-name", "choices")
    page.fill("#rule-value", "dog|mat")
    page.click("#add-rule")
    page.select_option("#rule-blank", label="every one")
    page.select_option("#rule-name", "words")
    page.fill("#rule-value", "1")
    page.keyboard.press("Enter")
    sent = []
    page.on("request", lambda request: sent.append(request.post_data_json or {}))
    fill(page)
    assert sent[0]["rules"] == ["1: choices=dog|mat", "words=1"]
    assert blanks(page).nth(1).inner_text().strip() in ("dog", "mat")
    assert len(blanks(page).first.inner_text().split()) == 1
    blanks(page).first.click()
    page.locator("[role=menuitem]").first.click()
    sent.clear()
    page.click("#refill")
    done(page)
    assert sent[0]["rules"] == ["0: choices=dog|mat", "words=1"], "a pinned blank does not count"
    for _ in range(2):
        page.locator("#rules button").first.click()
    sent.clear()
    fill(page)
    assert "rules" not in sent[0]


def test_rules_that_cannot_be_met_are_said(page):
    page.expected_errors = ["422"]
    page.click("summary >> text=Rules")
    write(page, TEXT)
    page.fill("#rule-value", "many")
    page.click("#add-rule")
    page.click("#run")
    page.wait_for_selector("#problem:not([hidden])")
    assert "many" in page.inner_text("#problem")


def test_a_calibrated_model_says_how_sure_it_is(page):
    fill(page)
    assert page.locator(".confidence").count() == 0
    assert not page.is_visible("#calibration")
    page.select_option("#model", "sure")
    sent = []
    page.on("response", lambda response: sent.append(response))
    fill(page)
    (streamed,) = [one for one in sent if (one.request.post_data_json or {}).get("stream")]
    result = json.loads(streamed.text().rpartition("data: ")[2])
    shown = page.locator(".confidence").all_inner_texts()
    assert len(shown) == 2
    for text, blank in zip(shown, result["blanks"], strict=True):
        assert blank["confidence"] == pytest.approx(blank["probability"] ** 0.5)
        assert float(text.strip("<% ")) == pytest.approx(100 * blank["confidence"], abs=1)
    assert "30 examples of known.txt" in page.inner_text("#calibration")


def test_candidates_are_scored_side_by_side(page):
    write(page, TEXT)
    page.fill("#candidates", "sat\nran so\ndog\n")
    page.select_option("#score-blank", label="2")
    page.click("#score")
    page.wait_for_selector("#scores li")
    shares = [
        float(text.strip("<% ").strip())
        for text in page.locator("#scores .share").all_inner_texts()
    ]
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(100, abs=2)


def test_the_view_follows_the_text_and_then_the_fill(page):
    write(page, "a cat [MASK].")
    expect(page.locator("#view tr[data-part=A]").nth(3)).to_be_visible()
    assert page.locator("#view tr[data-part=B]").count() == 0
    fill(page, "a cat [MASK].")
    page.wait_for_selector("#view tr[data-part=B]")
    first = page.locator("#view tr[data-part=B] td").all_inner_texts()[:4]
    assert first[1] == "<|startofpiece|>"
    assert first[3] == "1"
    assert page.is_visible("#mask")


def test_a_translator_writes_answers(page):
    page.select_option("#model", "de")
    assert page.inner_text("#text-title") == "Source"
    assert not page.is_visible("#make-blank")
    page.click("summary")
    page.fill("#max-tokens", "6")
    page.fill("#num-return", "2")
    write(page, "one two three")
    page.click("#run")
    done(page)
    assert page.locator("#answers li").count() == 2


def test_history_brings_a_text_back(page):
    fill(page)
    write(page, "another [MASK]")
    page.locator("#history button").first.click()
    assert page.input_value("#text") == TEXT


def test_errors_are_said_and_the_page_goes_on(page):
    write(page, "no blank here")
    page.click("#run")
    assert "Make blank" in page.inner_text("#problem")
    page.expected_errors = ["422"]
    write(page, "word " * 4000 + "[MASK]")
    page.click("#run")
    page.wait_for_selector("#problem:not([hidden])")
    assert "positions" in page.inner_text("#problem")
    fill(page)
    assert not page.is_visible("#problem")


def test_a_server_that_is_gone_is_named(page):
    page.expected_errors = ["ERR_FAILED"]
    page.route("**/v1/fill", lambda route: route.abort())
    write(page, TEXT)
    page.click("#run")
    page.wait_for_selector("#problem:not([hidden])")
    assert "does not answer" in page.inner_text("#problem")


def test_a_slow_answer_can_be_stopped(page):
    page.route("**/v1/fill", lambda route: None)
    write(page, TEXT)
    page.click("#run")
    page.wait_for_selector("#stop:not([hidden])")
    assert page.locator(".waiting").count() == 2
    page.keyboard.press("Escape")
    expect(page.locator("#status")).to_have_text("Stopped.")
    assert not page.is_visible("#stop")


def test_all_of_it_works_with_keys_alone(page):
    write(page, TEXT)
    page.focus("#text")
    page.keyboard.press("Control+Enter")
    done(page)
    blanks(page).first.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowDown")
    chosen = page.evaluate("document.activeElement.querySelector('span').textContent")
    page.keyboard.press("Enter")
    assert blanks(page).first.inner_text().strip() == chosen.strip()
    assert page.evaluate("document.activeElement.dataset.blank") == "0"
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    assert page.locator("[role=menu]").count() == 0


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_nothing_stands_in_the_way_of_a_screen_reader(page, theme, take_picture):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    if page.evaluate("document.documentElement.dataset.theme") != theme:
        page.click("#theme")
    page.click("summary >> text=Rules")
    page.fill("#rule-value", "1..3")
    page.click("#add-rule")
    fill(page)
    page.fill("#candidates", "sat\nran")
    page.click("#score")
    page.wait_for_selector("#scores li")
    blanks(page).first.click()
    found = axe.Axe().run(page)
    take_picture(page, f"playground-{theme}.png")
    assert found.violations_count == 0, found.generate_report()


def test_it_fits_a_phone(page, take_picture):
    page.set_viewport_size({"width": 360, "height": 740})
    fill(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    take_picture(page, "playground-phone.png")


@pytest.mark.skipif(not os.environ.get("UNBLANK_SCREENSHOTS"), reason="no picture is asked for")
def test_the_picture_of_the_docs(page, take_picture):
    page.click("summary")
    page.fill("#max-tokens", "3")
    fill(page, "Return the [MASK] of the array, or None if it is not [MASK].")
    page.fill("#candidates", "shape\nnumber\nlength\nname")
    page.click("#score")
    page.wait_for_selector("#scores li")
    page.click("summary")
    blanks(page).first.click()
    take_picture(page, "playground.png")
