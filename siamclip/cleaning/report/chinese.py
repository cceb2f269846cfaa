"""Reasons and notes in Chinese: findings.csv and notes.json have them in English, for programs; the page shows both.

Kind of text -> English template -> Chinese template. In a template {x} is what both have in common: a name of one
letter is a number or another word without a space, the name of a kind is a text of that kind, which is translated in
its turn, and any other name is a text that stays as it is. The first template that fits is taken (scripts/messages.js).
"""

from __future__ import annotations

CHINESE: dict[str, dict[str, str]] = {
    # -- what findings say --------------------------------------------------------------------------------------------
    "reason": {
        "{finding}; kept: {protection}": "{finding}；保留：{protection}",
        "{finding}": "{finding}",
    },
    "protection": {
        "its folder is protected": "其文件夹受保护",
        "{identity} would have fewer than {n} photos": "否则 {identity} 的照片将少于 {n} 张",
    },
    "finding": {
        "{fault}: {measured}, {bound}; lower than {n}% of the photos": (
            "{fault}：{measured}，{bound}；低于 {n}% 的照片"
        ),
        "{fault}: {measured}, {bound}; higher than {n}% of the photos": (
            "{fault}：{measured}，{bound}；高于 {n}% 的照片"
        ),
        "{fault}: {measured}, {bound}": "{fault}：{measured}，{bound}",
        "{damage}: {error}": "{damage}：{error}",
        "a {f} file named {s}": "{f} 文件，却以 {s} 为扩展名",
        "a {f} file named without a suffix": "{f} 文件，没有扩展名",
        "animated: {n} frames or pages, only the first is used": "动图：共 {n} 帧或页，只使用第一帧",
        "transparency, which is read as white": "含透明部分，读取时按白色处理",
        "colour space: {colours}, read as RGB of 8 bits": "色彩空间：{colours}，按 8 位 RGB 读取",
        "orientation flag {n}: upright after {turn}": "方向标记 {n}：{turn}后为正向",
        "the best of {n} copies": "{n} 张副本中最好的一张",
        "copy of {path}: {evidence}": "{path} 的副本：{evidence}",
        "the same photo is in {folder}: {path}, {evidence} (and {n} more)": (
            "同一张照片也在 {folder} 中：{path}，{evidence}（另有 {n} 张）"
        ),
        "the same photo is in {folder}: {path}, {evidence}": "同一张照片也在 {folder} 中：{path}，{evidence}",
        "a copy is in {side}: {path}": "{side}中有它的副本：{path}",
        "a copy of a copy is in {side}: {path}": "{side}中有它的副本的副本：{path}",
        "{d} from the nearest common cluster's centre; {u} is usual there": "距最近的常见簇中心 {d}；该簇通常为 {u}",
        "in a cluster of {n} photo, {d} from the nearest common cluster's centre; {u} is usual there": (
            "所在的簇只有 {n} 张照片，距最近的常见簇中心 {d}；该簇通常为 {u}"
        ),
        "in a cluster of {n} photos, {d} from the nearest common cluster's centre; {u} is usual there": (
            "所在的簇只有 {n} 张照片，距最近的常见簇中心 {d}；该簇通常为 {u}"
        ),
        "noise: the nearest dense place is {d} away, eps is {e}": "噪声：距最近的密集处 {d}，eps 为 {e}",
        "noise: the nearest photo is {d} away, eps is {e}": "噪声：距最近的照片 {d}，eps 为 {e}",
        "nearest photo is {d} away; {u} is usual, the limit {l}": "距最近的照片 {d}；通常为 {u}，界限为 {l}",
        "neighbour number {n} is {d} away; {u} is usual, the limit {l}": (
            "距第 {n} 近的照片 {d}；通常为 {u}，界限为 {l}"
        ),
        "{a} from the medoid of its own folder, {b} from that of {folder} (nearest photo {c}, in its own folder {d})": (
            "距自己文件夹的中心照片 {a}，距 {folder} 的中心照片 {b}（最近的照片 {c}，自己文件夹中最近的 {d}）"
        ),
        "{folder}: groups of {n} and {m} photos, {d} apart on average, silhouette {s}, "
        "gap {g} against the same-vehicle distance {e}": (
            "{folder}：分为 {n} 张和 {m} 张两组，平均相距 {d}，轮廓系数 {s}，与同车距离 {e} 相差 {g}"
        ),
        "{folder}: groups of {n} and {m} photos, {d} apart on average, gap {g} against the same-vehicle distance {e}": (
            "{folder}：分为 {n} 张和 {m} 张两组，平均相距 {d}，与同车距离 {e} 相差 {g}"
        ),
    },
    "fault": {
        "too small": "太小",
        "too narrow": "太窄",
        "too wide": "太宽",
        "object too small": "目标太小",
        "object too large": "目标太大",
        "blurred": "模糊",
        "few edges": "边缘太少",
        "under-exposed": "曝光不足",
        "over-exposed": "曝光过度",
        "too dark": "太暗",
        "too bright": "太亮",
        "low contrast": "对比度低",
        "little information": "信息太少",
        "bad quality": "画质差",
    },
    "measured": {
        "{w} x {h} pixels": "{w} x {h} 像素",
        "{w} x {h} pixels, width / height {r}": "{w} x {h} 像素，宽高比 {r}",
        "largest box covers {n}": "最大的框占 {n}",
        "Laplacian variance {n}": "拉普拉斯方差 {n}",
        "Sobel gradient variance {n}": "Sobel 梯度方差 {n}",
        "high-frequency energy {n}": "高频能量 {n}",
        "spectrum entropy {n}": "频谱熵 {n}",
        "{o} edges on {n}": "{o} 边缘占 {n}",
        "black parts of {n}": "黑色部分占 {n}",
        "white parts of {n}": "白色部分占 {n}",
        "mean intensity {n}": "平均亮度 {n}",
        "standard deviation {n}": "标准差 {n}",
        "bits of histogram entropy: {n}": "直方图熵 {n} 比特",
        "{m} {n}": "{m} {n}",  # the name of a quality metric
    },
    "bound": {
        "below {limit}": "低于 {limit}",
        "above {limit}": "高于 {limit}",
        "among the lowest {n}% (below {limit})": "属于最低的 {n}%（低于 {limit}）",
        "among the highest {n}% (above {limit})": "属于最高的 {n}%（高于 {limit}）",
    },
    "damage": {
        "cannot be opened": "无法打开",
        "empty": "空文件",
        "not an image": "不是图像",
        "too large": "太大",
        "truncated": "不完整",
        "damaged": "已损坏",
    },
    "colours": {
        "{colour}": "{colour}",
        "{colour} of {n} bits a sample": "{colour}，每个样本 {n} 位",
        "{colour}, with an embedded profile that is ignored": "{colour}，内嵌的色彩配置被忽略",
        "{colour} of {n} bits a sample, with an embedded profile that is ignored": (
            "{colour}，每个样本 {n} 位，内嵌的色彩配置被忽略"
        ),
    },
    "colour": {
        "black and white": "黑白",
        "grey": "灰度",
        "a palette": "调色板",
        "grey in floating point": "浮点灰度",
        "{m}": "{m}",  # CMYK, YCbCr, LAB
    },
    "turn": {
        "mirroring": "左右翻转",
        "a turn by 180 degrees": "旋转 180 度",
        "mirroring top to bottom": "上下翻转",
        "mirroring along the main diagonal": "沿主对角线翻转",
        "a turn by 90 degrees clockwise": "顺时针旋转 90 度",
        "mirroring along the other diagonal": "沿副对角线翻转",
        "a turn by 90 degrees counter-clockwise": "逆时针旋转 90 度",
    },
    "evidence": {
        "{likeness} ({m})": "{likeness}（{m}）",
        "{likeness} ({m}), {n} matching points": "{likeness}（{m}），{n} 个匹配点",
    },
    "likeness": {
        "the same bytes": "字节相同",
        "the same pixels": "像素相同",
        "Hamming distance {n} of {m}": "汉明距离 {n}（共 {m} 位）",
        "embedding distance {n}": "特征距离 {n}",
        "distance {n}": "距离 {n}",
    },
    "side": {"train": "训练集", "val": "验证集", "test": "测试集"},
    # -- why a file cannot be read ------------------------------------------------------------------------------------
    "error": {
        "the file is empty": "文件是空的",
        "a directory": "是文件夹",
        "not a regular file": "不是普通文件",
        "not a JPEG, PNG, BMP, WebP, TIFF or GIF file": "不是 JPEG、PNG、BMP、WebP、TIFF 或 GIF 文件",
        "{w} x {h} is over the limit of {n} pixels": "{w} x {h} 超过 {n} 像素的上限",
        "image file is truncated ({n} bytes not processed)": "图像文件不完整（{n} 字节未处理）",
        "image file is truncated": "图像文件不完整",
        "Truncated File Read": "文件不完整",
        "broken data stream when reading image file": "读取图像时数据流损坏",
        "broken PNG file": "PNG 文件损坏",
        "decoder error {n} when reading image file": "读取图像时解码器错误 {n}",
        "No such file or directory": "文件或文件夹不存在",
        "Permission denied": "没有权限",
        "Input/output error": "输入/输出错误",
        "{words}": "{words}",  # a decoder's own words
    },
    # -- what methods say of themselves -------------------------------------------------------------------------------
    "questioned": {
        "{limits} flags {p} of the photos ({n} of {m}), more than {q}, so none is proposed for removal; {suggestion}": (
            "{limits} 会标记 {p} 的照片（{m} 张中的 {n} 张），超过 {q}，因此不建议移除任何照片；{suggestion}"
        ),
    },
    "suggestion": {"{limits} would flag at most {p}": "{limits} 最多标记 {p}"},
    "limits": {
        "{one} with {other}": "{one} 与 {other}",
        "{one}": "{one}",
    },
    "note": {
        "judged": "已评判",
        "not judged": "未评判",
        "share": "标记比例",
        "suggestion": "建议",
        "not scored": "未评分",
        "boxes": "框数",
        "photos without a box": "没有框的照片",
        "unknown photos": "未知的照片",
        "clusters": "簇数",
        "small clusters": "小簇数",
        "small is below": "小簇的上限",
        "largest cluster": "最大的簇",
        "represented clusters": "由代表照片代替的簇",
        "eps": "eps",
        "min_samples": "min_samples",
        "core photos": "核心照片",
        "no core photo": "没有核心照片",
        "neighbours": "近邻数",
        "threshold": "阈值",
        "usual distance": "通常的距离",
        "spread": "离散程度",
        "search": "搜索方式",
        "recall": "召回率",
        "recall of the search": "搜索的召回率",
        "recall measured on": "召回率的测量对象",
        "lists": "倒排表数",
        "lists searched": "搜索的倒排表数",
        "efSearch": "efSearch",
        "alone in their folder, not judged": "文件夹中只有一张，未评判",
        "margin": "界限",
        "usual score": "通常的分数",
        "folders judged": "已评判的文件夹",
        "too few photos, not judged": "照片太少，未评判",
        "same_distance": "同车距离",
        "same_distance chosen by": "同车距离的来源",
        "folders suspected": "可疑的文件夹",
        "photos": "照片",
        "distinct": "互不相同的",
        "distinct hashes": "互不相同的哈希",
        "photos without structure, left out": "没有结构而略过的照片",
        "confirmed": "几何检查确认",
        "rejected": "几何检查否定",
        "not checked ({obstacle})": "未检查（{obstacle}）",
        "groups on two sides": "跨越两个子集的组",
        "photos of the largest of them": "其中最大一组的照片",
        "identities on two sides": "跨越两个子集的身份",
        "photos to move": "应移动的照片",
    },
    "obstacle": {
        "too few keypoints": "关键点太少",
        "unreadable": "无法读取",
        "vanished since the scan": "扫描后消失",
        "changed since the scan": "扫描后已改变",
    },
    "value": {
        "{suggestion}": "{suggestion}",
        "exact": "精确",
        "clusters": "分簇",
        "{n} of {m} inverted lists": "{m} 个倒排表中的 {n} 个",
        "no photo to search for": "没有要搜索的照片",
        "unknown: the sampled photos have no pairs": "未知：抽到的照片没有副本",
        "{n} photos drawn at random, {m} pairs": "随机抽取的 {n} 张照片，{m} 对",
        "{n} photos drawn at random, {m} photos with a copy": "随机抽取的 {n} 张照片，其中 {m} 张有副本",
        "eps is too small for this collection: every photo is noise": "eps 对该图库太小：每张照片都是噪声",
        "the checkpoint {name}": "检查点 {name}",
        "equal error rate within and between folders": "文件夹内外的等错误率",
        "{n} photos with an embedding, at least {m} are needed": "有特征的照片 {n} 张，至少需要 {m} 张",
        "{n} photos with an embedding, more than {m} are needed": "有特征的照片 {n} 张，需要多于 {m} 张",
        "{n} folders with photos, at least 2 are needed": "有照片的文件夹 {n} 个，至少需要 2 个",
        "no folder has two photos": "没有文件夹有两张照片",
        "no folder has {n} photos": "没有文件夹有 {n} 张照片",
        "one folder alone: give cloned_plate.same_distance": "只有一个文件夹：请给出 cloned_plate.same_distance",
        "{w}": "{w}",  # ivf, hnsw, and whatever is one word
    },
    # -- methods ------------------------------------------------------------------------------------------------------
    "warning": {"{m}: not run, {lack}": "{m}：未运行，{lack}"},
    "lack": {
        "its setting has no default; give --set {s}": "其设置没有默认值；请给出 --set {s}",
        "the scan holds no embeddings; scan again with --embedder newest, or a model's name": (
            "扫描中没有特征；请用 --embedder newest 或模型名重新扫描"
        ),
        "the photos do not lie in one folder an identity, or --layout is flat": (
            "照片不是每个身份一个文件夹，或 --layout 为 flat"
        ),
        "the scan holds no such score; scan again with --iqa brisque": "扫描中没有该分数；请用 --iqa brisque 重新扫描",
        "the scan holds no {n}; scan again": "扫描中没有 {n}；请重新扫描",
    },
    "sees": {
        "empty, truncated or damaged files": "空的、不完整的或损坏的文件",
        "a PNG called .jpg": "名为 .jpg 的 PNG",
        "files with several frames": "多帧文件",
        "transparency": "透明",
        "grey, CMYK, 16 bits": "灰度、CMYK、16 位",
        "stored turned or mirrored": "以旋转或翻转的方式存储",
        "fewer pixels than wanted": "像素少于要求",
        "strips and slivers": "细长条",
        "objects too small or too large": "目标太小或太大",
        "blur": "模糊",
        "few edges": "边缘太少",
        "large black parts": "大片黑色",
        "large white parts": "大片白色",
        "dark or light as a whole": "整体过暗或过亮",
        "flat, foggy": "平淡、雾蒙蒙",
        "few grey levels: blank": "灰度级太少：空白",
        "what a no-reference network or model dislikes": "无参考画质网络或模型认为差的",
        "the same bytes": "字节相同",
        "the same pixels": "像素相同",
        "edited copies": "编辑过的副本",
        "the same content": "内容相同",
        "small clusters, far from centroids": "远离中心的小簇",
        "noise between clusters": "簇之间的噪声",
        "photos without neighbours": "没有近邻的照片",
        "photos nearer to another folder than to their own": "离另一文件夹比离自己的更近的照片",
        "folders that hold two vehicles": "含有两辆车的文件夹",
    },
}
