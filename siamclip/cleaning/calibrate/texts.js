// Every text of the page on which pairs are compared, in both languages.
const TEXTS = {
  en: {
    language: "中文", title: "Same photo, or not?", method: "calibration of {method}",
    lead: "Same: one is a copy of the other, whatever was done to it (saved again, resized, cropped, brightened). Different: two photos, even if they show the same vehicle.",
    same: "same photo", different: "different", skip: "I cannot tell", back: "back", exportAnswers: "Export answers",
    progress: "{done} of {all} answered", next: "next without an answer", done: "All pairs are answered. Export the answers, then:",
    command: "python clean.py calibrate RUN --method {method} --answers answers-{method}.json",
    keys: "S same · D different · X cannot tell · ← → turn · click a photo to enlarge", missing: "The file cannot be shown here.",
    noStorage: "This browser does not remember answers: export them before you close the page.",
    place: "pair {n}",
  },
  zh: {
    language: "English", title: "是同一张照片吗？", method: "校准 {method}",
    lead: "相同：一张是另一张的副本，无论经过何种处理（重新保存、缩放、裁剪、调亮）。不同：两次拍摄的照片，即使是同一辆车。",
    same: "同一张", different: "不同", skip: "无法判断", back: "上一对", exportAnswers: "导出答案",
    progress: "已回答 {done} / {all}", next: "下一个未回答的", done: "全部回答完毕。请导出答案，然后运行：",
    command: "python clean.py calibrate RUN --method {method} --answers answers-{method}.json",
    keys: "S 相同 · D 不同 · X 无法判断 · ← → 翻页 · 点击照片放大", missing: "此处无法显示该文件。",
    noStorage: "此浏览器不会记住答案：关闭页面前请先导出。",
    place: "第 {n} 对",
  },
};
