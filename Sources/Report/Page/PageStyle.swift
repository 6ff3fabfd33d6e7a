/// The page's style sheet: one for screen (light and dark), phone and paper.
enum PageStyle {
    /// Further lines repeat the colours, dashed.
    static let colorCount = 8

    // Okabe and Ito's colours, which colour-blind readers can distinguish, a little darker on white and lighter on
    // black.
    private static let light = ["#0072b2", "#d55e00", "#009e73", "#b0568f", "#c08a00", "#3a9bd0", "#6b5bd2", "#7a7f87"]
    private static let dark = ["#4aa8e0", "#f28a3c", "#2fc79b", "#dd8fc0", "#e3b341", "#8fd0f5", "#a79bff", "#a4a9b1"]

    static var css: String {
        func variables(_ colors: [String]) -> String {
            colors.enumerated().map { "--c\($0): \($1);" }.joined(separator: " ")
        }
        let series = (0..<colorCount).map { index in
            ".s\(index) { stroke: var(--c\(index)) } .f\(index) { fill: var(--c\(index)); background-color: var(--c\(index)) }"
        }.joined(separator: "\n")
        return """
            :root {
              color-scheme: light dark;
              --page: #fbfaf8; --card: #ffffff; --text: #1d2126; --soft: #5c636d; --faint: #868d97; --line: #e3e1dc;
              --head: #f3f1ec; --mark: #e6f2ec; --marktext: #00694d; --bar: #d9e7f2; --warn: #8a5a00;
              --real: #0072b2; --generated: #d55e00; --before: #9aa1ab; --after: #009e73;
              \(variables(light))
            }
            @media (prefers-color-scheme: dark) {
              :root {
                --page: #131518; --card: #1b1e22; --text: #e7e6e3; --soft: #a9afb8; --faint: #7f868f; --line: #30343a;
                --head: #22262b; --mark: #17352b; --marktext: #6fe0b8; --bar: #243a4c; --warn: #e3b341;
                --real: #4aa8e0; --generated: #f28a3c; --before: #747b85; --after: #2fc79b;
                \(variables(dark))
              }
            }
            \(rules)
            \(series)
            \(narrow)
            \(paper)
            """
    }

    private static let rules = """
        * { box-sizing: border-box }
        html { -webkit-text-size-adjust: 100% }
        body { margin: 0; background: var(--page); color: var(--text);
          font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif }
        main { max-width: 1120px; margin: 0 auto; padding: 40px 24px 64px }
        h1 { font-size: 30px; line-height: 1.2; letter-spacing: -0.015em; margin: 0 0 6px; overflow-wrap: anywhere }
        h2 { font-size: 20px; letter-spacing: -0.01em; margin: 0 0 4px }
        h3 { font-size: 14.5px; margin: 0 0 6px; overflow-wrap: anywhere }
        section > h3 { margin-top: 24px }
        p { margin: 0 0 10px }
        a { color: inherit; text-decoration-color: var(--faint); text-underline-offset: 3px }
        .lead, .note { color: var(--soft) }
        .note { font-size: 13px; max-width: 86ch; margin: 8px 0 0 }
        .warn { color: var(--warn) }
        nav { display: flex; flex-wrap: wrap; gap: 4px 18px; margin: 16px 0 0; font-size: 14px; color: var(--soft) }
        section { margin-top: 44px; border-top: 1px solid var(--line); padding-top: 22px }
        .chips { display: flex; flex-wrap: wrap; gap: 6px 16px; margin: 10px 0 14px; padding: 0; list-style: none;
          font-size: 13.5px }
        .chips li { display: flex; align-items: center; gap: 7px; min-width: 0; overflow-wrap: anywhere }
        .swatch { flex: none; display: inline-block; width: 11px; height: 11px; border-radius: 3px; margin-right: 1px }
        .swatch.dash1 { border-radius: 50% }
        .tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(200px, 1fr)); gap: 12px; margin: 24px 0 0 }
        .tile { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 14px 16px;
          min-width: 0 }
        .tile b { display: block; font-size: 25px; line-height: 1.25; font-weight: 620; letter-spacing: -0.015em;
          font-variant-numeric: tabular-nums }
        .tile span { display: block; color: var(--soft); font-size: 13px; overflow-wrap: anywhere }
        .tile .head { color: var(--faint); font-size: 12px; letter-spacing: 0.04em; text-transform: uppercase }
        .scroll { overflow-x: auto; background: var(--card); border: 1px solid var(--line); border-radius: 10px;
          margin: 12px 0 0 }
        table { border-collapse: collapse; width: 100%; font-size: 13.5px; font-variant-numeric: tabular-nums }
        th, td { padding: 8px 12px; text-align: left; vertical-align: top; border-top: 1px solid var(--line) }
        thead th { border-top: 0; background: var(--head); color: var(--soft); font-weight: 600; font-size: 12.5px;
          white-space: nowrap; vertical-align: bottom }
        tbody th { font-weight: 550; min-width: 190px; overflow-wrap: anywhere }
        .numbers td, .numbers thead th { text-align: right; white-space: nowrap }
        .numbers th:first-child { text-align: left }
        td.best { background: var(--mark); color: var(--marktext); font-weight: 680 }
        td small { color: var(--faint); font-size: 0.87em; font-weight: 400 }
        td.best small { color: inherit }
        tr.band th { background: var(--head); color: var(--soft); font-size: 12.5px; font-weight: 600 }
        tr.published td, tr.published th { color: var(--soft); font-style: italic; font-weight: 400 }
        th small { display: block; color: var(--faint); font-weight: 400; font-size: 12px }
        code, pre { font: 12.5px/1.5 ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace }
        td.value { font: 12.5px/1.5 ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace;
          overflow-wrap: anywhere; min-width: 90px }
        pre { margin: 0; padding: 12px 14px; overflow-x: auto; white-space: pre-wrap; overflow-wrap: anywhere }
        details { background: var(--card); border: 1px solid var(--line); border-radius: 10px; margin: 10px 0 0;
          font-size: 13.5px }
        details > pre, details > div { border-top: 1px solid var(--line) }
        details > div { padding: 10px 14px; overflow-wrap: anywhere }
        details dl { margin: 0 } details dt { font-weight: 600; margin-top: 8px } details dt:first-child { margin-top: 0 }
        details dd { margin: 0; color: var(--soft) }
        summary { padding: 9px 14px; cursor: pointer; overflow-wrap: anywhere }
        .charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(310px, 1fr)); gap: 12px; margin: 12px 0 0 }
        figure { margin: 0; background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 14px 14px 10px;
          min-width: 0; break-inside: avoid }
        figure.panel { margin-top: 12px }
        figure.wide { margin-top: 12px; overflow-x: auto }
        figcaption { font-size: 13px; color: var(--soft) }
        .chart { display: block; width: 100%; height: auto }
        .wide .chart { min-width: 560px }
        .chart text { font-size: 11px; fill: var(--soft); font-variant-numeric: tabular-nums }
        .chart .end { text-anchor: end } .chart .middle { text-anchor: middle } .chart .start { text-anchor: start }
        .grid path { stroke: var(--line); fill: none } .axis path { stroke: var(--faint); fill: none }
        .curve, .check, .raw { fill: none; stroke-linejoin: round; stroke-linecap: round }
        .curve { stroke-width: 1.8 } .raw { stroke-width: 1; opacity: 0.2 }
        .check { stroke-width: 1.2; stroke-dasharray: 3 3; opacity: 0.85 }
        .dash1 { stroke-dasharray: 7 4 }
        .mark { stroke: var(--card); stroke-width: 1 }
        .bars.before rect { fill: var(--before); opacity: 0.55 } .bars.after rect { fill: var(--after); opacity: 0.6 }
        .mean path { fill: none; stroke-width: 1.5; stroke-dasharray: 4 3 }
        .mean.before path { stroke: var(--soft) } .mean.after path { stroke: var(--after) }
        .chart .mean text { font-size: 12px; font-weight: 600 }
        .chart .mean.before text { fill: var(--soft) } .chart .mean.after text { fill: var(--after) }
        .map .frame { fill: none; stroke: none } .map .links { fill: none; stroke: var(--faint); stroke-width: 0.7; opacity: 0.5 }
        .map circle { stroke: var(--card); stroke-width: 0.6; fill-opacity: 0.85 }
        circle.real { fill: var(--real) } circle.generated { fill: var(--generated) }
        .swatch.real { background: var(--real); border-radius: 50% } .swatch.generated { background: var(--generated); border-radius: 50% }
        .gap { display: grid; grid-template-columns: repeat(auto-fit, minmax(280px, 1fr)); gap: 12px 20px; align-items: start }
        .gallery { display: grid; grid-template-columns: repeat(auto-fill, minmax(300px, 1fr)); gap: 14px; margin: 14px 0 0 }
        .photo { padding: 0; overflow: hidden; display: flex; flex-direction: column }
        .photo .frame { background: var(--head); display: flex; justify-content: center; align-items: center;
          height: 226px; overflow: hidden; color: var(--faint); font-size: 13px; text-align: center; overflow-wrap: anywhere }
        .photo img { display: block; max-width: 100%; max-height: 100%; width: 100%; height: 100%; object-fit: contain }
        .photo .frame p { padding: 0 18px; margin: 0 }
        .photo figcaption { padding: 12px 14px 14px; color: var(--text); font-size: 13.5px; line-height: 1.42 }
        .photo ul { list-style: none; margin: 0; padding: 0 } .photo li { margin: 0 0 8px; overflow-wrap: anywhere }
        .photo li b { display: flex; align-items: baseline; gap: 6px; font-size: 12px; font-weight: 600; color: var(--soft) }
        .photo li b .score { margin-left: auto; font-weight: 400; color: var(--faint); font-variant-numeric: tabular-nums;
          white-space: nowrap }
        .photo .references { border-top: 1px solid var(--line); margin-top: 10px; padding-top: 9px; color: var(--soft);
          font-size: 12.5px }
        .photo .references li { margin: 0 0 3px } .photo .name { color: var(--faint); font-size: 11.5px; margin: 8px 0 0 }
        ul.plain { margin: 0; padding: 0; list-style: none }
        footer { margin-top: 48px; color: var(--faint); font-size: 12.5px }
        """

    private static let narrow = """
        @media (max-width: 640px) {
          main { padding: 24px 14px 40px } h1 { font-size: 24px } section { margin-top: 32px }
          .charts, .gallery { grid-template-columns: 1fr } th, td { padding: 7px 9px }
          .tiles { grid-template-columns: 1fr 1fr } .tile b { font-size: 21px }
        }
        """

    private static let paper = """
        @media print {
          :root { color-scheme: light; --page: #fff; --card: #fff; --text: #000; --soft: #333; --faint: #666; --line: #ccc;
            --head: #f2f2f2; --mark: #e6f2ec; --marktext: #00543d; --real: #0072b2; --generated: #d55e00; --before: #8a919b;
            --after: #007a59; \(light.enumerated().map { "--c\($0): \($1);" }.joined(separator: " ")) }
          body { font-size: 10.5pt; print-color-adjust: exact; -webkit-print-color-adjust: exact }
          main { max-width: none; padding: 0 } nav { display: none } section { break-before: auto; margin-top: 24px }
          h2, h3, thead { break-after: avoid } tr, .tile, .photo { break-inside: avoid }
          .scroll { overflow: visible } .gallery { grid-template-columns: repeat(3, 1fr) }
          .charts { grid-template-columns: repeat(2, 1fr) } table { font-size: 9pt } th, td { padding: 4px 6px }
        }
        """
}
